/* The D1 shard: a database at Cloudflare, over its REST interface
 * (developers.cloudflare.com/api/resources/d1) or through the gateway Worker (docs/gateway-protocol.md).
 * Each statement is a request: there are no transactions, but the gateway takes batches.
 *
 * Values come and go exactly or not at all (d1_sql.h). Over REST a write is sent once; when its answer is
 * lost that is CDB_OUTCOME_UNKNOWN. To the gateway it is sent with a token, by which it is done once. */
#ifndef CDB_SHARD_D1_H
#define CDB_SHARD_D1_H

#include "net/net.h"
#include "shard/shard.h"

/* `net`, `budget` and `context` must live as long as the shard; the texts are copied. */
typedef struct {
  cdb__net *net;
  cdb__budget *budget;          /* of its account; or NULL */
  const char *name;             /* for messages */
  const char *url;              /* …/d1/database/ID/raw, or …/query of the gateway */
  const char *batch_url;        /* the gateway's …/batch; NULL: it is Cloudflare's REST interface */
  bool replicas;                /* routed reads may go to copies, which see what was written here */
  const char *token;            /* or NULL */
  const char *ca_file;          /* or NULL */
  int64_t deadline_ms;          /* of one statement, with everything that is tried again */
  void (*watch)(void *context); /* called before it waits; or NULL */
  bool (*interrupted)(void *context);
  void *context;
} cdb__d1_options;

/* Sends nothing yet. */
int cdb__d1_open(cdb__shard **out, const cdb__d1_options *options, cdb__fault *fault);

#endif
