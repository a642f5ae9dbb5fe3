/* What Cloudflare D1 says when it can not answer, as causes of policy.h. */
#ifndef CDB_NET_D1_H
#define CDB_NET_D1_H

#include "net/net.h"

cdb__net_cause cdb__d1_judge(const cdb__net_answer *answer, cdb__net_cause by_status);
/* The same of the gateway, whose answers have a word beside D1's message (docs/gateway-protocol.md). */
cdb__net_cause cdb__gateway_judge(const cdb__net_answer *answer, cdb__net_cause by_status);

#endif
