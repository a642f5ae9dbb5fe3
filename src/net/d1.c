/* D1's messages. A status alone does not tell a wrong statement from a database
 * that is starting up; developers.cloudflare.com/d1/observability/debug-d1
 * lists the messages and which of them are worth another try. */
#include "net/d1.h"

#include <string.h>

/* Looked for in this order. SQLite's own verdict comes first: such a statement was undone, and will fail
 * again; its message may hold any text, since a trigger of the user's may raise it. */
static const struct {
  const char *text;
  cdb__net_cause cause;
} messages[] = {
    {"SQLITE_BUSY", CDB__NET_OVERLOADED},
    {"SQLITE_NOMEM", CDB__NET_EXHAUSTED},
    {"SQLITE_IOERR", CDB__NET_FAILED},
    {"SQLITE_INTERRUPT", CDB__NET_FAILED},
    {"SQLITE_", CDB__NET_SQL_ERROR},
    {"Network connection lost", CDB__NET_FAILED},
    {"Internal error in D1", CDB__NET_FAILED},
    {"Cannot resolve D1", CDB__NET_FAILED},
    {"starting up", CDB__NET_FAILED},
    {"code was updated", CDB__NET_FAILED},
    {"Requests queued for too long", CDB__NET_OVERLOADED},
    {"Too many requests queued", CDB__NET_OVERLOADED},
    {"storage operation exceeded timeout", CDB__NET_EXHAUSTED},
    {"exceeded its memory limit", CDB__NET_EXHAUSTED},
    {"exceeded its CPU time limit", CDB__NET_EXHAUSTED},
};

cdb__net_cause cdb__d1_judge(const cdb__net_answer *answer, cdb__net_cause by_status) {
  const bool may_tell = by_status == CDB__NET_REFUSED || by_status == CDB__NET_FAILED;
  if (!may_tell || !answer->body || answer->body[0] != '{') return by_status;
  for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
    if (strstr(answer->body, messages[i].text)) return messages[i].cause;
  return by_status;
}

/* An answer whose end was lost without libcurl's noticing is none. */
static bool is_whole(const cdb__net_answer *answer) {
  return answer->body && answer->size > 1 && answer->body[0] == '{' && answer->body[answer->size - 1] == '}';
}

/* The words are looked for as the Worker writes them; in a message their quotes would have backslashes before
 * them. */
cdb__net_cause cdb__gateway_judge(const cdb__net_answer *answer, cdb__net_cause by_status) {
  static const struct {
    const char *text;
    cdb__net_cause cause;
  } words[] = {{"\"code\":\"SQL\"", CDB__NET_SQL_ERROR},    {"\"code\":\"READONLY\"", CDB__NET_READING},
               {"\"code\":\"REQUEST\"", CDB__NET_UNFIT},    {"\"code\":\"CONFIG\"", CDB__NET_SETTINGS},
               {"\"code\":\"BINDING\"", CDB__NET_SETTINGS}, {"\"code\":\"PATH\"", CDB__NET_SETTINGS},
               {"\"code\":\"CLOCK\"", CDB__NET_SETTINGS},   {"\"code\":\"BUSY\"", CDB__NET_OVERLOADED}};
  if (by_status == CDB__NET_OK && !is_whole(answer)) return CDB__NET_CUT;
  for (size_t i = 0; answer->body && by_status != CDB__NET_OK && i < sizeof words / sizeof *words; i++)
    if (strstr(answer->body, words[i].text)) return words[i].cause;
  return cdb__d1_judge(answer, by_status);
}
