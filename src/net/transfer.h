/* One attempt of one request: a libcurl easy handle, and what came of it. Inside src/net only. */
#ifndef CDB_NET_TRANSFER_H
#define CDB_NET_TRANSFER_H

#include "net/curl.h"
#include "net/net.h"

enum { CDB__NET_IDLE = 16, CDB__NET_HOST = 256 };

struct cdb__net {
  cdb__curl curl;
  CURLM *multi;              /* NULL: no connections */
  CURL *idle[CDB__NET_IDLE]; /* easy handles to be used again */
  int idle_count, users;
  long process; /* connections of the process before a fork are not ours */
  cdb__clock clock;
};

/* A request on its way through attempts. Its user is perform.c. */
typedef struct {
  const cdb__net_request *request;
  cdb__net_answer *answer;
  int64_t ends, begins; /* its deadline; not before */
  bool done;
  bool unsure;              /* an attempt before may have done the write */
  char host[CDB__NET_HOST]; /* for messages */
  /* the current attempt: */
  CURL *easy; /* NULL: none */
  struct curl_slist *headers;
  cdb__net *net;
  size_t room, header_bytes;
  bool left; /* it may have been sent */
  bool too_large, no_memory, pauses;
  int64_t reset_ms; /* a Ratelimit header says that nothing is left for so long; or 0 */
  char detail[CURL_ERROR_SIZE];
} cdb__transfer;

/* CDB_USAGE and a fault in the answer unless the URL is https, or http to this machine. */
int cdb__transfer_check(cdb__transfer *transfer);
/* Begins an attempt with so many ms to go. */
int cdb__transfer_begin(cdb__transfer *transfer, int64_t remaining_ms);
/* Ends the attempt, with libcurl's code for it; says what it means. */
cdb__net_cause cdb__transfer_end(cdb__transfer *transfer, CURLcode code, bool late);

#endif
