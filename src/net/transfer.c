/* One attempt of a request: setting libcurl up, taking the answer in, and
 * reading from both what it came to. */
#include "net/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADER_LIMIT = 64 * 1024, FIRST_ROOM = 4096 };

/* --- what comes in --------------------------------------------------------------- */

static bool make_room(cdb__transfer *t, size_t more) {
  cdb__net_answer *answer = t->answer;
  const size_t needed = answer->size + more + 1;
  if (needed <= t->room) return true;
  size_t room = t->room ? t->room : FIRST_ROOM;
  while (room < needed) room *= 2;
  char *body = realloc(answer->body, room);
  if (!body) return false;
  answer->body = body;
  t->room = room;
  return true;
}

/* Anything but the size given makes libcurl give up. */
static size_t on_body(char *data, size_t one, size_t size, void *context) {
  cdb__transfer *t = context;
  cdb__net_answer *answer = t->answer;
  (void)one;
  if (size > t->request->limit - answer->size) {
    t->too_large = true;
    return !size;
  }
  if (!make_room(t, size)) {
    t->no_memory = true;
    return !size;
  }
  memcpy(answer->body + answer->size, data, size);
  answer->size += size;
  answer->body[answer->size] = '\0';
  return size;
}

/* The value of a header that has this name, without the spaces before it; NULL for another. */
static const char *header_value(const char *line, const char *name) {
  const size_t size = strlen(name);
  if (strncasecmp(line, name, size) != 0 || line[size] != ':') return NULL;
  return line + size + 1 + strspn(line + size + 1, " \t");
}

/* Ratelimit: "default";r=0;t=30 says that nothing is left for 30 seconds. */
static void read_rate_limit(cdb__transfer *t, const char *value) {
  const char *left = strstr(value, "r="), *reset = strstr(value, "t=");
  if (left && reset && strtol(left + 2, NULL, 10) <= 0) t->reset_ms = strtol(reset + 2, NULL, 10) * 1000;
}

static size_t on_header(char *data, size_t one, size_t size, void *context) {
  cdb__transfer *t = context;
  char line[256];
  (void)one;
  t->header_bytes += size;
  if (t->header_bytes > HEADER_LIMIT) {
    t->too_large = true;
    return !size;
  }
  snprintf(line, sizeof line, "%.*s", (int)(size > 255 ? 255 : size), data);
  line[strcspn(line, "\r\n")] = '\0';
  const char *type = header_value(line, "Content-Type"), *rate = header_value(line, "Ratelimit");
  if (type) snprintf(t->answer->content_type, sizeof t->answer->content_type, "%.79s", type);
  if (rate) read_rate_limit(t, rate);
  if (header_value(line, "Retry-After")) t->pauses = true;
  return size;
}

/* Called when the connection stands, just before the request is sent. */
static int before_sending(void *context, char *ip, char *local_ip, int port, int local_port) {
  cdb__transfer *t = context;
  (void)ip, (void)local_ip, (void)port, (void)local_port;
  const bool twice = t->left && t->request->write && !t->request->repeatable;
  t->left = true;
  return twice ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* --- beginning ------------------------------------------------------------------- */

static bool add_header(cdb__transfer *t, const char *line) {
  struct curl_slist *more = t->net->curl.slist_append(t->headers, line);
  if (more) t->headers = more;
  return more != NULL;
}

static bool make_headers(cdb__transfer *t) {
  bool made = add_header(t, "Expect:") && add_header(t, "Accept: application/json");
  const char *const *given = t->request->headers;
  for (; made && given && *given; given++) made = add_header(t, *given);
  if (!made || !t->request->token) return made;
  const size_t size = strlen(t->request->token) + 32;
  char *line = malloc(size);
  if (!line) return false;
  snprintf(line, size, "Authorization: Bearer %s", t->request->token);
  made = add_header(t, line);
  explicit_bzero(line, size);
  free(line);
  return made;
}

static bool set_up_body(cdb__transfer *t) {
  const cdb__net_request *request = t->request;
  const cdb__curl *curl = &t->net->curl;
  if (!request->body) return true;
  return curl->easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size) ==
             CURLE_OK &&
         curl->easy_setopt(t->easy, CURLOPT_POSTFIELDS, request->body) == CURLE_OK;
}

static bool set_up(cdb__transfer *t, int64_t remaining) {
  const cdb__net_request *request = t->request;
  const cdb__curl *curl = &t->net->curl;
  const int64_t connect = request->connect_ms < remaining ? request->connect_ms : remaining;
  const long alone = request->write && !request->repeatable;
  bool set = make_headers(t) && set_up_body(t);
#define SET(option, value) set = set && curl->easy_setopt(t->easy, CURLOPT_##option, value) == CURLE_OK
  SET(URL, request->url);
  SET(CUSTOMREQUEST, request->method);
  if (strcmp(request->method, "HEAD") == 0) SET(NOBODY, 1L);
  SET(HTTPHEADER, t->headers);
  SET(PRIVATE, t);
  SET(ERRORBUFFER, t->detail);
  SET(NOSIGNAL, 1L);
  SET(PROTOCOLS_STR, "http,https");
  if (strncasecmp(request->url, "http:", 5) == 0) SET(NOPROXY, "*"); /* this machine needs none */
  SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  SET(PIPEWAIT, !alone);
  SET(FRESH_CONNECT, alone);
  SET(FORBID_REUSE, alone);
  SET(FOLLOWLOCATION, 0L);
  SET(SSL_VERIFYPEER, 1L);
  SET(SSL_VERIFYHOST, 2L);
  if (request->ca_file) SET(CAINFO, request->ca_file);
  SET(ACCEPT_ENCODING, "");
  SET(TIMEOUT_MS, (long)remaining);
  SET(CONNECTTIMEOUT_MS, (long)connect);
  SET(PREREQFUNCTION, before_sending);
  SET(PREREQDATA, t);
  SET(WRITEFUNCTION, on_body);
  SET(WRITEDATA, t);
  SET(HEADERFUNCTION, on_header);
  SET(HEADERDATA, t);
  SET(USERAGENT, "collegedb/" CDB_VERSION);
#undef SET
  return set;
}

static void give_back(cdb__transfer *t) {
  cdb__net *net = t->net;
  if (!t->easy) return;
  net->curl.multi_remove_handle(net->multi, t->easy); /* no harm where it was never added */
  net->curl.easy_reset(t->easy);
  if (net->idle_count < CDB__NET_IDLE) net->idle[net->idle_count++] = t->easy;
  else net->curl.easy_cleanup(t->easy);
  net->curl.slist_free_all(t->headers);
  t->easy = NULL;
  t->headers = NULL;
}

static void forget_answer(cdb__transfer *t) {
  cdb__net_answer *answer = t->answer;
  free(answer->body);
  *answer = (cdb__net_answer){.attempts = answer->attempts + 1, .retry_after_ms = -1};
  t->room = t->header_bytes = 0;
  t->left = t->too_large = t->no_memory = t->pauses = false;
  t->reset_ms = 0;
  t->detail[0] = '\0';
}

int cdb__transfer_begin(cdb__transfer *t, int64_t remaining_ms) {
  cdb__net *net = t->net;
  forget_answer(t);
  t->easy = net->idle_count ? net->idle[--net->idle_count] : net->curl.easy_init();
  if (t->easy && set_up(t, remaining_ms) && net->curl.multi_add_handle(net->multi, t->easy) == CURLM_OK)
    return CDB_OK;
  give_back(t);
  t->answer->cause = CDB__NET_REQUEST;
  return cdb__fail(&t->answer->fault, CDB_NOMEM, "no memory for a request to %s", t->host);
}

/* --- ending ---------------------------------------------------------------------- */

static void read_info(cdb__transfer *t) {
  const cdb__curl *curl = &t->net->curl;
  long connections = 1;
  curl_off_t seconds = 0;
  curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->answer->status);
  curl->easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connections);
  curl->easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
  t->answer->reused = t->left && connections == 0;
  if (t->pauses) t->answer->retry_after_ms = (int64_t)seconds * 1000;
}

/* What the attempt came to, by libcurl's code and, if that is good, by the status. */
static cdb__net_cause judge(cdb__transfer *t, CURLcode code, bool late) {
  cdb__net_answer *answer = t->answer;
  if (t->too_large) return CDB__NET_LARGE;
  if (t->no_memory) return CDB__NET_MEMORY;
  if (code == CURLE_OPERATION_TIMEDOUT && !late && t->left) late = true;
  if (code != CURLE_OK) return cdb__net_curl_cause((int)code, t->left, late);
  answer->sent = CDB__SENT_YES;
  const cdb__net_cause cause = cdb__net_status_cause(answer->status, t->pauses || t->reset_ms);
  return t->request->judge ? t->request->judge(answer, cause) : cause;
}

cdb__net_cause cdb__transfer_end(cdb__transfer *t, CURLcode code, bool late) {
  read_info(t);
  t->answer->sent = t->left ? CDB__SENT_UNKNOWN : CDB__SENT_NO;
  t->answer->cause = judge(t, code, late);
  if (t->detail[0] == '\0' && code != CURLE_OK)
    snprintf(t->detail, sizeof t->detail, "%s", t->net->curl.easy_strerror(code));
  give_back(t);
  return t->answer->cause;
}
