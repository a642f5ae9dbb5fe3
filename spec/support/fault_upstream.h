/* Hands a request on to the server that a fault server stands before. */
#ifndef FAULT_UPSTREAM_H
#define FAULT_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>

/* Sends the request to a port of this machine and reads the whole answer, which the caller frees. */
bool fault_upstream_ask(int port, const char *request, size_t size, char **answer, size_t *answer_size);

#endif
