/* HTTP: several requests at once, each with its deadline, its limits and its
 * retries (policy.h). Blocking, and used by one thread at a time.
 *
 * TLS is always verified, redirects are not followed, and plain http goes to this
 * machine only. Reads share connections, and so do writes that may be repeated. Any other write
 * gets one of its own: libcurl sends a POST again by itself when a reused connection turns out to be dead. */
#ifndef CDB_NET_NET_H
#define CDB_NET_NET_H

#include "core/clock.h"
#include "net/budget.h"
#include "net/policy.h"

typedef struct cdb__net cdb__net;
typedef struct cdb__net_request cdb__net_request;
typedef struct cdb__net_answer cdb__net_answer;

/* Refines what an answer with a status means, by its body. Must not change the answer. */
typedef cdb__net_cause (*cdb__net_judge)(const cdb__net_answer *answer, cdb__net_cause by_status);

/* Everything it points to must live until cdb__net_perform returns. */
struct cdb__net_request {
  const char *method, *url;
  const char *const *headers; /* "Name: value", ended by NULL; or NULL */
  const char *token;          /* sent as a bearer token, and left out of every message; or NULL */
  const char *ca_file;        /* certificates to trust instead of the system's; or NULL */
  const char *body;           /* or NULL */
  size_t body_size;
  bool write;
  bool repeatable;      /* a write that is done once however often it is sent */
  int attempts;         /* at most so often, where it may be sent again at all */
  int64_t deadline_ms;  /* the whole, with waiting and retries */
  int64_t connect_ms;   /* one attempt to connect */
  size_t limit;         /* bytes of the answer, unpacked */
  cdb__budget *budget;  /* or NULL */
  cdb__net_judge judge; /* or NULL */
};

typedef enum { CDB__SENT_NO, CDB__SENT_YES, CDB__SENT_UNKNOWN } cdb__sent;

struct cdb__net_answer {
  cdb__net_cause cause; /* CDB__NET_OK, or why there is no good answer */
  cdb__fault fault;     /* code 0, or what to raise */
  cdb__sent sent;       /* YES: the other side has answered it in full */
  long status;          /* of the last answer; 0 is none */
  char *body;           /* owned; ends with a NUL that is not counted. NULL is none */
  size_t size;
  char content_type[80];
  int64_t retry_after_ms; /* when the service or the budget lets it come again; -1 unknown */
  int attempts;           /* how often it was begun */
  bool reused;            /* the last attempt's connection stood before */
};

typedef struct {
  int parallel;                /* so many at once */
  bool (*interrupted)(void *); /* asked at least every 100 ms; or NULL */
  void *context;
} cdb__net_options;

int cdb__net_open(cdb__net **out, cdb__fault *fault);
void cdb__net_close(cdb__net *net);
const char *cdb__net_version(const cdb__net *net); /* libcurl's */
/* For several users of one client: its connections end when the last one leaves, and begin anew with the next
 * request. */
void cdb__net_enter(cdb__net *net);
void cdb__net_leave(cdb__net *net);

/* Every request is answered or failed when this returns. Fails itself only where nothing was begun.
 * `answers` are zeroed by the caller, and ended by cdb__net_answer_free. */
int cdb__net_perform(cdb__net *net, const cdb__net_request *requests, cdb__net_answer *answers, size_t count,
                     const cdb__net_options *options, cdb__fault *fault);
void cdb__net_answer_free(cdb__net_answer *answer);

/* Whoever answers may send the token back; it must not get into a message. Also not in part, where the text
 * was cut off at its end. */
void cdb__net_hide(char *text, const char *token);

#endif
