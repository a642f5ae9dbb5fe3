// /coordinator/…
import { Failure, answer, asked, bodyOf } from "./answer.js";

const NAME = "default";

export function mainOf(env) {
  if (!env.COORDINATOR) throw new Failure(503, "CONFIG", "there is no binding COORDINATOR");
  return env.COORDINATOR.getByName(NAME);
}

const paths = {
  query: async (env, body) => asked(await mainOf(env).query(body)),
};

export async function answerCoordinator(request, env, [name], writes) {
  if (!writes) throw new Failure(403, "READONLY", "this token may only read");
  if (!Object.hasOwn(paths, name ?? "")) throw new Failure(404, "PATH", "there is no such path");
  return answer(await paths[name](env, await bodyOf(request)));
}
