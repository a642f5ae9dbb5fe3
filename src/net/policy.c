/* The table of causes, and how statuses and libcurl's codes are read as causes. */
#include "net/policy.h"

#include "net/curl.h"

enum { FIRST_PAUSE_MS = 50, LONGEST_PAUSE_MS = 2000 };

cdb__net_rule cdb__net_rule_for(cdb__net_cause cause, bool write) {
  static const cdb__net_rule rules[][2] = {
#define RULE(name, read, read_again, write, write_again, text) \
  {{#name, CDB_##read, read_again, text}, {#name, CDB_##write, write_again, text}},
      CDB__NET_CAUSES(RULE)
#undef RULE
  };
  return rules[cause][write];
}

cdb__net_cause cdb__net_status_cause(long status, bool pauses) {
  static const struct {
    long from, to;
    cdb__net_cause cause;
  } meanings[] = {
      {200, 299, CDB__NET_OK},           {300, 399, CDB__NET_REDIRECT},   {401, 401, CDB__NET_CREDENTIALS},
      {403, 403, CDB__NET_CREDENTIALS},  {408, 408, CDB__NET_FAILED},     {413, 413, CDB__NET_REQUEST_SIZE},
      {414, 414, CDB__NET_REQUEST_SIZE}, {425, 425, CDB__NET_OVERLOADED}, {400, 499, CDB__NET_REFUSED},
      {500, 599, CDB__NET_FAILED},
  };
  if (status == 429) return pauses ? CDB__NET_RATE : CDB__NET_OVERLOADED;
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
    if (status >= meanings[i].from && status <= meanings[i].to) return meanings[i].cause;
  return CDB__NET_GARBLED;
}

/* The code alone; in which phase it came is judged by what was sent. */
static cdb__net_cause by_code(int code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT: return CDB__NET_REQUEST;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return CDB__NET_RESOLVE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER: return CDB__NET_TLS;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CERTPROBLEM: return CDB__NET_CERTIFICATE;
    case CURLE_OUT_OF_MEMORY: return CDB__NET_MEMORY;
    case CURLE_PARTIAL_FILE: return CDB__NET_CUT;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: return CDB__NET_GARBLED;
    default: return CDB__NET_LOST;
  }
}

cdb__net_cause cdb__net_curl_cause(int code, bool left, bool late) {
  if (code == CURLE_OPERATION_TIMEDOUT && left) return CDB__NET_DEADLINE;
  if (code == CURLE_OPERATION_TIMEDOUT) return late ? CDB__NET_LATE : CDB__NET_CONNECT;
  const cdb__net_cause cause = by_code(code);
  if (left && cause == CDB__NET_REQUEST) return CDB__NET_GARBLED; /* no HTTP that we take */
  if (left) return cause < CDB__NET_SENT ? CDB__NET_LOST : cause;
  if (cause == CDB__NET_LOST || cause == CDB__NET_CUT || cause == CDB__NET_GARBLED) return CDB__NET_CONNECT;
  return cause;
}

int64_t cdb__net_backoff(int attempt, uint64_t random) {
  const int doublings = attempt > 8 ? 6 : attempt - 2;
  int64_t pause = (int64_t)FIRST_PAUSE_MS << (doublings < 0 ? 0 : doublings);
  if (pause > LONGEST_PAUSE_MS) pause = LONGEST_PAUSE_MS;
  return pause / 2 + (int64_t)(random % (uint64_t)(pause / 2 + 1));
}
