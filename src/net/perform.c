/* Brings several requests to their ends: begins them as limits allow, waits for
 * all of them together, and sends again what may be sent again. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/key.h"
#include "net/transfer.h"

enum { LONGEST_POLL_MS = 100 }; /* so often it is asked whether to stop */

typedef struct {
  cdb__net *net;
  cdb__transfer *transfers;
  size_t count;
  int running;
  const cdb__net_options *options;
} work;

/* --- the client ------------------------------------------------------------------- */

static int set_up_multi(cdb__net *net, cdb__fault *fault) {
  net->multi = net->curl.multi_init();
  if (!net->multi) return cdb__fail(fault, CDB_NOMEM, "no memory for HTTP connections");
  net->process = getpid();
  return CDB_OK;
}

int cdb__net_open(cdb__net **out, cdb__fault *fault) {
  cdb__net *net = calloc(1, sizeof *net);
  if (!net) return cdb__fail(fault, CDB_NOMEM, "no memory for HTTP connections");
  net->clock = cdb__clock_system();
  int code = cdb__curl_load(&net->curl, fault);
  if (code == CDB_OK) code = set_up_multi(net, fault);
  if (code == CDB_OK) *out = net;
  else free(net);
  return code;
}

/* After a fork the connections are the parent's: using or ending them would be seen by its peers. */
static void end_connections(cdb__net *net) {
  if (net->multi && net->process == getpid()) {
    while (net->idle_count) net->curl.easy_cleanup(net->idle[--net->idle_count]);
    net->curl.multi_cleanup(net->multi);
  }
  net->idle_count = 0;
  net->multi = NULL;
}

void cdb__net_close(cdb__net *net) {
  if (net) end_connections(net);
  free(net);
}

const char *cdb__net_version(const cdb__net *net) { return net->curl.version_info(CURLVERSION_NOW)->version; }

void cdb__net_enter(cdb__net *net) { net->users++; }

void cdb__net_leave(cdb__net *net) {
  if (--net->users == 0) end_connections(net);
}

static int check_connections(cdb__net *net, cdb__fault *fault) {
  if (net->multi && net->process == getpid()) return CDB_OK;
  net->idle_count = 0;
  return set_up_multi(net, fault);
}

void cdb__net_answer_free(cdb__net_answer *answer) {
  free(answer->body);
  answer->body = NULL;
}

/* --- what came of it --------------------------------------------------------------- */

void cdb__net_hide(char *text, const char *token) {
  enum {
    SECRET = 8, /* what is shorter keeps no secret, and its letters would be taken out of every word */
    TELLS = 4   /* so much of it, where the text was cut off */
  };
  const size_t size = token ? strlen(token) : 0, all = strlen(text);
  if (size < SECRET) return;
  for (char *found = text; (found = strstr(found, token)); found += size) memset(found, '*', size);
  for (size_t part = size < all ? size : all; part >= TELLS; part--)
    if (memcmp(text + all - part, token, part) == 0) memset(text + all - part, '*', part);
}

static void describe(cdb__transfer *t, const cdb__net_rule *rule) {
  cdb__net_answer *answer = t->answer;
  char detail[CURL_ERROR_SIZE + 64] = "", tries[32] = "";
  if (t->detail[0]) snprintf(detail, sizeof detail, " (%s)", t->detail);
  else if (answer->status) snprintf(detail, sizeof detail, " (status %ld)", answer->status);
  if (answer->attempts > 1) snprintf(tries, sizeof tries, ", %d times", answer->attempts);
  const bool unknown = rule->code == CDB_OUTCOME_UNKNOWN;
  cdb__fail(&answer->fault, rule->code, "%s: %s%s%s%s", t->host, rule->text, detail, tries,
            unknown ? "; the write was sent, and may have been done or not" : "");
  cdb__net_hide(answer->fault.message, t->request->token);
}

/* Does this tell for certain whether a write was done, that was sent before too? */
static bool is_certain(cdb__net_cause cause) { return cause == CDB__NET_OK || cause == CDB__NET_SQL_ERROR; }

static void finish(cdb__transfer *t, cdb__net_cause cause) {
  cdb__net_rule rule = cdb__net_rule_for(cause, t->request->write);
  if (t->unsure && !is_certain(cause)) rule.code = CDB_OUTCOME_UNKNOWN;
  t->done = true;
  t->answer->cause = cause;
  if (rule.code != CDB_OK) describe(t, &rule);
}

static void note_limits(cdb__transfer *t, int64_t now) {
  const int64_t pause = t->answer->cause == CDB__NET_RATE && t->answer->retry_after_ms > t->reset_ms
                            ? t->answer->retry_after_ms
                            : t->reset_ms;
  if (t->answer->cause == CDB__NET_RATE) t->answer->retry_after_ms = pause;
  if (pause > 0 && t->request->budget) cdb__budget_block(t->request->budget, now, pause);
}

/* When the attempt after this one may begin. */
static int64_t next_begin(const cdb__transfer *t, int64_t now) {
  const int64_t pause = cdb__net_backoff(t->answer->attempts + 1, cdb__random_seed());
  return now + (t->answer->retry_after_ms > pause ? t->answer->retry_after_ms : pause);
}

/* An attempt has ended: it is sent again, later, or that was all. */
static void settle(cdb__transfer *t, CURLcode code, int64_t now) {
  const cdb__net_cause cause = cdb__transfer_end(t, code, now >= t->ends);
  note_limits(t, now);
  const bool may_again = cdb__net_rule_for(cause, t->request->write && !t->request->repeatable).again;
  if (may_again && t->answer->attempts < t->request->attempts) {
    t->unsure =
        t->unsure || (t->request->write && cdb__net_rule_for(cause, true).code == CDB_OUTCOME_UNKNOWN);
    t->begins = next_begin(t, now);
    if (t->begins < t->ends) return;
  }
  finish(t, cause);
}

/* --- the loop ---------------------------------------------------------------------- */

/* Begins the attempt if the deadline and the budget let it; a request that must wait too long fails. */
static void try_begin(work *w, cdb__transfer *t, int64_t now) {
  if (now >= t->ends) {
    finish(t, t->answer->attempts ? t->answer->cause : CDB__NET_LATE);
    return;
  }
  const int64_t wait = t->request->budget ? cdb__budget_take(t->request->budget, now) : 0;
  if (wait > 0 && now + wait >= t->ends) {
    t->answer->retry_after_ms = wait;
    t->answer->sent = CDB__SENT_NO;
    finish(t, CDB__NET_BUDGET);
  } else if (wait > 0) {
    t->begins = now + wait;
  } else if (cdb__transfer_begin(t, t->ends - now) == CDB_OK) {
    w->running++;
  } else {
    t->done = true;
  }
}

/* Returns ms until something is to be begun, at most LONGEST_POLL_MS; -1 when all is done. */
static int64_t begin_due(work *w, int64_t now) {
  int64_t soonest = w->running ? LONGEST_POLL_MS : -1;
  for (size_t i = 0; i < w->count; i++) {
    cdb__transfer *t = &w->transfers[i];
    if (t->done || t->easy) continue;
    if (t->begins <= now && w->running < w->options->parallel) try_begin(w, t, now);
    if (t->done) continue;
    int64_t wait = t->easy || t->begins <= now ? LONGEST_POLL_MS : t->begins - now;
    if (wait > LONGEST_POLL_MS) wait = LONGEST_POLL_MS;
    if (soonest < 0 || wait < soonest) soonest = wait;
  }
  return soonest;
}

static void collect(work *w) {
  cdb__net *net = w->net;
  CURLMsg *message;
  int left;
  while ((message = net->curl.multi_info_read(net->multi, &left))) {
    if (message->msg != CURLMSG_DONE) continue;
    char *private = NULL;
    const CURLcode code = message->data.result; /* the message goes with its handle */
    net->curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
    w->running--;
    settle((cdb__transfer *)(void *)private, code, cdb__clock_now(&net->clock));
  }
}

static void stop(work *w) {
  for (size_t i = 0; i < w->count; i++) {
    cdb__transfer *t = &w->transfers[i];
    if (t->done) continue;
    const bool left = t->easy && t->left;
    if (t->easy) cdb__transfer_end(t, CURLE_ABORTED_BY_CALLBACK, false);
    finish(t, left ? CDB__NET_INTERRUPTED : CDB__NET_STOPPED);
  }
  w->running = 0;
}

static bool is_interrupted(const work *w) {
  return w->options->interrupted && w->options->interrupted(w->options->context);
}

static void run(work *w) {
  cdb__net *net = w->net;
  int64_t wait;
  if (is_interrupted(w)) stop(w);
  while ((wait = begin_due(w, cdb__clock_now(&net->clock))) >= 0) {
    int ignored;
    CURLMcode code = net->curl.multi_perform(net->multi, &ignored);
    const int before = w->running;
    collect(w);
    if (w->running < before) continue; /* there may be room for another, or all is done */
    if (code == CURLM_OK) code = net->curl.multi_poll(net->multi, NULL, 0, (int)wait, NULL);
    if (code != CURLM_OK || is_interrupted(w)) {
      stop(w);
      return;
    }
  }
}

/* A write to a connection that the other side closed must be an error and not the end of the process. */
static void run_without_sigpipe(work *w) {
  sigset_t pipe_signal, before, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  run(w);
  if (!was_pending) {
    const struct timespec at_once = {0, 0};
    while (sigtimedwait(&pipe_signal, NULL, &at_once) > 0) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int cdb__net_perform(cdb__net *net, const cdb__net_request *requests, cdb__net_answer *answers, size_t count,
                     const cdb__net_options *options, cdb__fault *fault) {
  if (check_connections(net, fault) != CDB_OK) return fault->code;
  work w = {.net = net, .count = count, .options = options};
  w.transfers = calloc(count ? count : 1, sizeof *w.transfers);
  if (!w.transfers) return cdb__fail(fault, CDB_NOMEM, "no memory for %zu requests", count);
  const int64_t now = cdb__clock_now(&net->clock);
  for (size_t i = 0; i < count; i++) {
    cdb__transfer *t = &w.transfers[i];
    *t = (cdb__transfer){.request = &requests[i], .answer = &answers[i], .net = net, .begins = now};
    t->ends = now + requests[i].deadline_ms;
    answers[i].retry_after_ms = -1;
    t->done = cdb__transfer_check(t) != CDB_OK;
  }
  run_without_sigpipe(&w);
  free(w.transfers);
  return CDB_OK;
}
