/* fault_upstream: one request, one connection. That nothing more is sent tells the other side to close
 * it after its answer. */
#include "fault_upstream.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool send_all(int socket, const char *bytes, size_t size) {
  while (size > 0) {
    const ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes += sent;
    size -= (size_t)sent;
  }
  return true;
}

static bool read_all(int socket, char **answer, size_t *answer_size) {
  size_t room = 1 << 16, size = 0;
  char *bytes = malloc(room);
  for (;;) {
    if (size == room) {
      char *larger = realloc(bytes, room *= 2);
      if (!larger) break;
      bytes = larger;
    }
    const ssize_t more = bytes ? recv(socket, bytes + size, room - size, 0) : -1;
    if (more < 0) break;
    if (more == 0) {
      *answer = bytes;
      *answer_size = size;
      return size > 0;
    }
    size += (size_t)more;
  }
  free(bytes);
  return false;
}

bool fault_upstream_ask(int port, const char *request, size_t size, char **answer, size_t *answer_size) {
  const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const bool done = s >= 0 && connect(s, (struct sockaddr *)&address, sizeof address) == 0 &&
                    send_all(s, request, size) && shutdown(s, SHUT_WR) == 0 &&
                    read_all(s, answer, answer_size);
  if (s >= 0) close(s);
  return done;
}
