/* What the bindings of HTTP share. */
#ifndef CDB_BIND_NET_H
#define CDB_BIND_NET_H

#include "bind/bind.h"
#include "net/net.h"

cdb__budget *cdb__lua_check_budget(lua_State *L, int arg);

#endif
