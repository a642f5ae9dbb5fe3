/* What may come of a request, and what is done about it: one table.
 *
 * A read may be sent as often as it takes. A write is never sent again once
 * anything of it may have left this machine: what is lost then is OUTCOME_UNKNOWN. One that the other side
 * does once however often it comes is sent again like a read, and raised as a write. */
#ifndef CDB_NET_POLICY_H
#define CDB_NET_POLICY_H

#include <stdbool.h>

#include "core/error.h"

/* X(cause, a read's code, it is retried, a write's code, it is retried, what happened).
 * Above SENT nothing can have left. */
#define CDB__NET_CAUSES(X)                                                                                \
  X(OK, OK, 0, OK, 0, "it was answered")                                                                  \
  X(REQUEST, USAGE, 0, USAGE, 0, "the request can not be made")                                           \
  X(RESOLVE, UNAVAILABLE, 1, UNAVAILABLE, 1, "its name could not be resolved")                            \
  X(CONNECT, UNAVAILABLE, 1, UNAVAILABLE, 1, "it could not be connected to")                              \
  X(TLS, UNAVAILABLE, 1, UNAVAILABLE, 1, "no TLS connection could be made")                               \
  X(CERTIFICATE, UNAVAILABLE, 0, UNAVAILABLE, 0, "its certificate is not to be trusted")                  \
  X(LATE, TIMEOUT, 0, TIMEOUT, 0, "the deadline passed before anything was sent")                         \
  X(BUDGET, RATE_LIMITED, 0, RATE_LIMITED, 0, "nothing was sent, to stay below the account's rate limit") \
  X(STOPPED, TIMEOUT, 0, TIMEOUT, 0, "it was interrupted before anything was sent")                       \
  X(SENT, INTERNAL, 0, OUTCOME_UNKNOWN, 0, "")                                                            \
  X(MEMORY, NOMEM, 0, OUTCOME_UNKNOWN, 0, "no memory for the answer")                                     \
  X(LOST, UNAVAILABLE, 1, OUTCOME_UNKNOWN, 0, "the connection was lost")                                  \
  X(CUT, UNAVAILABLE, 1, OUTCOME_UNKNOWN, 0, "the answer was cut off")                                    \
  X(GARBLED, UNAVAILABLE, 1, OUTCOME_UNKNOWN, 0, "the answer was not understood")                         \
  X(DEADLINE, TIMEOUT, 0, OUTCOME_UNKNOWN, 0, "the deadline passed before the answer was there")          \
  X(INTERRUPTED, TIMEOUT, 0, OUTCOME_UNKNOWN, 0, "it was interrupted before the answer was there")        \
  X(LARGE, TOO_LARGE, 0, OUTCOME_UNKNOWN, 0, "the answer is over its limit")                              \
  X(REDIRECT, UNAVAILABLE, 0, OUTCOME_UNKNOWN, 0, "it answered with a redirect, which is not followed")   \
  X(CREDENTIALS, AUTH, 0, AUTH, 0, "it refused the credentials")                                          \
  X(REFUSED, UNAVAILABLE, 0, UNAVAILABLE, 0, "it refused the request")                                    \
  X(READING, READONLY, 0, READONLY, 0, "these credentials may only read")                                 \
  X(UNFIT, USAGE, 0, USAGE, 0, "it does not take such a request")                                         \
  X(SETTINGS, CONFIG, 0, CONFIG, 0, "it is not set up for this request")                                  \
  X(REQUEST_SIZE, TOO_LARGE, 0, TOO_LARGE, 0, "the request is too large for it")                          \
  X(RATE, RATE_LIMITED, 1, RATE_LIMITED, 0, "the account's rate limit is reached")                        \
  X(OVERLOADED, BUSY, 1, BUSY, 0, "it has too much to do")                                                \
  X(FAILED, UNAVAILABLE, 1, OUTCOME_UNKNOWN, 0, "it failed")                                              \
  X(EXHAUSTED, BUSY, 0, OUTCOME_UNKNOWN, 0, "the statement took too much time or memory")                 \
  X(SQL_ERROR, SQL, 0, SQL, 0, "the statement failed")

typedef enum {
#define CDB__NET_CAUSE(name, read, read_again, write, write_again, text) CDB__NET_##name,
  CDB__NET_CAUSES(CDB__NET_CAUSE)
#undef CDB__NET_CAUSE
      CDB__NET_CAUSE_COUNT
} cdb__net_cause;

typedef struct {
  const char *name;
  int code;   /* CDB_…: what it is raised as */
  bool again; /* it may be sent again */
  const char *text;
} cdb__net_rule;

/* What is done about a cause, for a read or a write. */
cdb__net_rule cdb__net_rule_for(cdb__net_cause cause, bool write);

/* What a status means by itself. `pauses`: the answer says when to come again. */
cdb__net_cause cdb__net_status_cause(long status, bool pauses);

/* What a failure of libcurl's means. `left`: a connection stood and the request may have been sent;
 * `late`: the deadline has passed. */
cdb__net_cause cdb__net_curl_cause(int curl_code, bool left, bool late);

/* Milliseconds before attempt `attempt` (2, 3, …), spread so that programs do not come again together. */
int64_t cdb__net_backoff(int attempt, uint64_t random);

#endif
