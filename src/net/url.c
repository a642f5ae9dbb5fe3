/* Which addresses requests may go to. The URL is read by libcurl itself, so
 * that nobody reads another host into it than is connected to. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/transfer.h"

static bool is_this_machine(const char *host) {
  struct in_addr address; /* 127.0.0.999 would be a name */
  if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) return true;
  return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* Why requests to the URL are refused, or NULL. */
static const char *refusal(cdb__transfer *transfer, CURLU *url) {
  const cdb__curl *curl = &transfer->net->curl;
  char *scheme = NULL, *host = NULL, *user = NULL;
  const char *why = NULL;
  if (curl->url_set(url, CURLUPART_URL, transfer->request->url, 0) != CURLUE_OK ||
      curl->url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
      curl->url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
    why = "it is no URL; https://HOST/… is one";
  } else {
    snprintf(transfer->host, sizeof transfer->host, "%s", host);
    if (curl->url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK) why = "it holds a user's name";
    else if (strcmp(scheme, "http") == 0 && !is_this_machine(host))
      why = "http is for 127.0.0.1 and localhost only; use https";
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) why = "it is not https";
  }
  curl->free(scheme);
  curl->free(host);
  curl->free(user);
  return why;
}

int cdb__transfer_check(cdb__transfer *transfer) {
  cdb__net_answer *answer = transfer->answer;
  snprintf(transfer->host, sizeof transfer->host, "?");
  CURLU *url = transfer->net->curl.url();
  const char *why = url ? refusal(transfer, url) : "there is no memory for it";
  transfer->net->curl.url_cleanup(url);
  if (!why) return CDB_OK;
  answer->cause = CDB__NET_REQUEST;
  return cdb__fail(&answer->fault, CDB_USAGE, "the address of %s can not be used: %s", transfer->host, why);
}
