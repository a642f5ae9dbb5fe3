// The main object of the coordinator: the directory's tables, and what has no entries of its own.
import { DurableObject } from "cloudflare:workers";
import { failureOf, run } from "./rows.js";
import { told } from "./answer.js";

export class ShardCoordinator extends DurableObject {
  // A statement on the directory's tables.
  query({ sql, params }) {
    return told(() => {
      try {
        return { result: [this.ctx.storage.transactionSync(() => run(this.ctx.storage.sql, sql, params))] };
      } catch (error) {
        throw failureOf(error);
      }
    });
  }
}
