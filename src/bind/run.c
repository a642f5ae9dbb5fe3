/* Running one statement on one shard and making Lua values of its answer.
 *
 * While a statement runs, Lua may raise (memory ran out) and unwind this C
 * code. Nothing is caught here, because a protected call costs as much as the
 * whole of our part of a read. Instead each running statement is on its
 * shard's list together with the address of the C frame that runs it. The
 * stack grows down: when a later call on the shard finds an entry whose frame
 * is not above its own, that frame is gone, and the statement is taken back.
 * Only of a write is the making of rows protected: until that later call, it
 * would keep all others from writing. */
#include "bind/bind.h"

void cdb__lua_note_schema(cdb__lua_shard *shard, cdb__stmt *stmt) {
  if (!stmt->alters && stmt->prepared == stmt->prepared_before) return;
  stmt->prepared_before = stmt->prepared;
  shard->altered++;
  if (shard->db) shard->db->catalog++;
  shard->fence = true;
}

/* Returns a statement that was unwound, or that ended, to the cache. */
static inline int take_back(cdb__lua_shard *shard, cdb__stmt *stmt, cdb__fault *fault) {
  for (cdb__stmt **link = &shard->running; *link; link = &(*link)->running_next) {
    if (*link != stmt) continue;
    *link = stmt->running_next;
    break;
  }
  const int code = cdb__reset(stmt, fault);
  if (stmt->started) cdb__lua_meter_record(shard, stmt);
  cdb__lua_note_schema(shard, stmt);
  cdb__stmt_give(stmt);
  cdb__lua_settle_shard(shard, CDB__FRAME);
  return code;
}

void cdb__lua_recover_unwound(cdb__lua_shard *shard, uintptr_t frame) {
  cdb__fault ignored;
  if (shard->stepping <= frame) shard->stepping = 0;
  while (shard->running && shard->running->running_frame <= frame) {
    shard->running->started = 0; /* it ended at another time */
    take_back(shard, shard->running, &ignored);
  }
}

void cdb__lua_close_shard(cdb__lua_shard *shard, uintptr_t frame) {
  if (!shard->handle) return;
  shard->closing = false; /* so that taking statements back does not come here again */
  cdb__lua_recover_unwound(shard, frame);
  shard->closing = shard->running || shard->stepping > frame;
  if (shard->closing) return;
  cdb__lua_cursors_end(shard, 0);
  shard->handle->ops->close(shard->handle);
  shard->handle = NULL;
  shard->tx_depth = 0;
}

/* What routed SQL may not do, checked when a text is prepared for the first time. */
static int check_kind(const cdb__lua_call *call, bool *alters, cdb__fault *fault) {
  cdb__sql_info info;
  cdb__sql_scan(call->sql, call->size, &info);
  if (info.second)
    return cdb__fail(fault, CDB_USAGE,
                     "one statement a call: another follows at byte %zu (db:shard(name):exec runs scripts)",
                     info.end + 1);
  switch (info.kind) {
    case CDB__SQL_EMPTY: return cdb__fail(fault, CDB_USAGE, "the SQL text holds no statement");
    case CDB__SQL_TRANSACTION:
      return cdb__fail(fault, CDB_USAGE,
                       "BEGIN, COMMIT, ROLLBACK and savepoints are db:transaction's to run");
    case CDB__SQL_ATTACH: return cdb__fail(fault, CDB_USAGE, "ATTACH and DETACH are not allowed on a shard");
    default: *alters = info.kind == CDB__SQL_SCHEMA; return CDB_OK;
  }
}

static inline int take(cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt **out, cdb__fault *fault) {
  if (call->id && (*out = cdb__stmt_retake(shard->handle, call->hash, call->id))) return CDB_OK;
  int code = cdb__stmt_take(shard->handle, call->sql, call->size, call->hash, out, fault);
  if (code == CDB_OK && (*out)->checked) {
    (*out)->id = call->id;
    return CDB_OK;
  }
  /* The reason for a refused text is ours to name, also where SQLite refused it as well. */
  cdb__fault refused;
  bool alters = false;
  const int kind_code = check_kind(call, &alters, &refused);
  if (kind_code == CDB_OK && code == CDB_OK) {
    (*out)->checked = true;
    shard->fence = true; /* a new text has no schema to compare with */
    (*out)->alters = alters;
  }
  if (kind_code == CDB_OK) return code;
  if (code == CDB_OK) cdb__stmt_drop(*out);
  *fault = refused;
  return kind_code;
}

int cdb__lua_fail_on(lua_State *L, const cdb__lua_shard *shard, const cdb__fault *fault,
                     const cdb__lua_call *call) {
  if (!call || !call->inner) cdb__lua_meter_error(shard, fault->code);
  return cdb__lua_raise(L, fault, shard->name, call);
}

static inline cdb__stmt *begin_beside(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call,
                                      uintptr_t frame) {
  cdb__fault fault;
  cdb__stmt *stmt = NULL;
  int code = take(shard, call, &stmt, &fault);
  if (code == CDB_OK) {
    stmt->running_frame = frame;
    stmt->running_next = shard->running;
    shard->running = stmt;
    code = cdb__lua_params(L, call->params, stmt, &fault);
    if (code == CDB_OK) {
      cdb__lua_meter_count(shard, stmt, call);
      return stmt;
    }
    cdb__fault ignored;
    take_back(shard, stmt, &ignored);
  }
  cdb__lua_fail_on(L, shard, &fault, call);
  return NULL;
}

static inline cdb__stmt *begin(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call,
                               uintptr_t frame) {
  if (shard->running) cdb__lua_recover_unwound(shard, frame);
  return begin_beside(L, shard, call, frame);
}

cdb__stmt *cdb__lua_begin_beside(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call,
                                 uintptr_t frame) {
  return begin_beside(L, shard, call, frame);
}

cdb__stmt *cdb__lua_begin(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, uintptr_t frame) {
  return begin(L, shard, call, frame);
}

int cdb__lua_end(cdb__lua_shard *shard, cdb__stmt *stmt, cdb__fault *fault) {
  return take_back(shard, stmt, fault);
}

void cdb__lua_end_left(cdb__lua_shard *shard, cdb__stmt *stmt) {
  cdb__fault ignored;
  const cdb__stmt *each = shard->running;
  while (each && each != stmt) each = each->running_next;
  if (each) take_back(shard, stmt, &ignored);
}

/* Raises the fault; but what the fence refused is run where the key is now, and its result is this call's. */
static int refuse(lua_State *L, cdb__lua_shard *shard, const cdb__fault *fault, const cdb__lua_call *call,
                  const char *method) {
  if (fault->code == CDB_MOVED && call->key_arg && cdb__lua_follow(L, shard, call, method, true)) return 1;
  return cdb__lua_fail_on(L, shard, fault, call);
}

/* Ends a statement that failed in step: its own fault stands, not the reset's. */
static int fail_step(lua_State *L, cdb__lua_shard *shard, cdb__stmt *stmt, const cdb__fault *fault,
                     const cdb__lua_call *call, const char *method) {
  cdb__fault ignored;
  take_back(shard, stmt, &ignored);
  return refuse(L, shard, fault, call, method);
}

static int end_without_row(lua_State *L, cdb__lua_shard *shard, cdb__stmt *stmt, const cdb__lua_call *call,
                           int code, cdb__fault *fault) {
  if (code < 0) return fail_step(L, shard, stmt, fault, call, "first");
  if (take_back(shard, stmt, fault) != CDB_OK) return refuse(L, shard, fault, call, "first");
  lua_pushnil(L);
  return call->key_arg ? cdb__lua_look_after(L, shard, call, cdb__lua_first) : 1;
}

/* What makes Lua values of a write's rows, called protected. */
typedef struct {
  cdb__stmt *stmt;
  cdb__fault *fault;
  int code; /* of its last step */
} written;

/* Leaves `count` results of f(written) on top; what it raises is raised when the statement has ended. */
static int make_protected(lua_State *L, cdb__lua_shard *shard, written *w, lua_CFunction f, int count) {
  cdb__fault ignored;
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, w);
  if (lua_pcall(L, 1, count, 0) == LUA_OK) return w->code;
  take_back(shard, w->stmt, &ignored);
  return lua_error(L);
}

static int make_row(lua_State *L) {
  const written *w = lua_touserdata(L, 1);
  cdb__lua_push_names(L, w->stmt);
  cdb__lua_push_row(L, w->stmt, -2, &cdb__lua_no_key);
  return 1;
}

/* A write gives its rows before it is done; it is run to its end. */
static int finish_write(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt *stmt) {
  cdb__fault fault;
  written w = {stmt, &fault, CDB__ROW};
  int code = make_protected(L, shard, &w, make_row, 1);
  while (code == CDB__ROW) code = cdb__step(stmt, &fault);
  if (code < 0) return fail_step(L, shard, stmt, &fault, call, "first");
  if (take_back(shard, stmt, &fault) != CDB_OK) return refuse(L, shard, &fault, call, "first");
  return 1;
}

/* What follows `begin` is inline, because the way to it must cost nothing; together.c has it as a call. */
__attribute__((always_inline)) static inline int finish_first(lua_State *L, cdb__lua_shard *shard,
                                                              const cdb__lua_call *call, cdb__stmt *stmt) {
  cdb__fault fault;
  stmt->wanted = CDB__WANT_FIRST;
  int code = cdb__step(stmt, &fault);
  if (code != CDB__ROW) return end_without_row(L, shard, stmt, call, code, &fault);
  if (!stmt->readonly) return finish_write(L, shard, call, stmt);
  cdb__lua_push_names(L, stmt);
  cdb__lua_push_row(L, stmt, -2, call);
  if (take_back(shard, stmt, &fault) != CDB_OK) return refuse(L, shard, &fault, call, "first");
  return 1;
}

int cdb__lua_first(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call) {
  return finish_first(L, shard, call, begin(L, shard, call, CDB__FRAME));
}

int cdb__lua_finish_first(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt *stmt) {
  return finish_first(L, shard, call, stmt);
}

/* Pushes the array of all rows after the first step, which did not fail; leaves the names below it. */
static int make_rows(lua_State *L, cdb__stmt *stmt, const cdb__lua_call *call, int code, cdb__fault *fault) {
  cdb__lua_push_names(L, stmt);
  lua_newtable(L);
  for (lua_Integer n = 1; code == CDB__ROW; n++) {
    cdb__lua_push_row(L, stmt, -3, call);
    lua_rawseti(L, -2, n);
    code = cdb__step(stmt, fault);
  }
  return code;
}

static int make_written_rows(lua_State *L) {
  written *w = lua_touserdata(L, 1);
  w->code = make_rows(L, w->stmt, &cdb__lua_no_key, w->code, w->fault);
  return 2;
}

/* The same from the first step on; a code < 0 is returned at once, because Lua may have no memory either. */
static int push_rows(lua_State *L, cdb__lua_shard *shard, cdb__stmt *stmt, const cdb__lua_call *call,
                     cdb__fault *fault) {
  const int code = cdb__step(stmt, fault);
  written w = {stmt, fault, code};
  if (code < 0) return code;
  if (code == CDB__ROW && !stmt->readonly) return make_protected(L, shard, &w, make_written_rows, 2);
  return make_rows(L, stmt, call, code, fault);
}

int cdb__lua_finish_all(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt *stmt) {
  cdb__fault fault;
  if (push_rows(L, shard, stmt, call, &fault) < 0) return fail_step(L, shard, stmt, &fault, call, "all");
  if (take_back(shard, stmt, &fault) != CDB_OK) return refuse(L, shard, &fault, call, "all");
  const bool nothing = call->key_arg && lua_rawlen(L, -1) == 0;
  return nothing ? cdb__lua_look_after(L, shard, call, cdb__lua_all) : 1;
}

int cdb__lua_all(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call) {
  return cdb__lua_finish_all(L, shard, call, begin(L, shard, call, CDB__FRAME));
}

/* The fields of a result, as strings that are made once: Lua would else look up each of them by its bytes. */
enum {
  CHANGES = 1,
  LAST_ROW_ID,
  SERVED_BY,
  DURATION,
  ROWS_READ,
  ROWS_WRITTEN,
  SUCCESS,
  RESULTS,
  COLUMNS,
  META
};
static const char *const FIELDS[] = {NULL,       "changes",   "last_row_id",  "served_by",
                                     "duration", "rows_read", "rows_written", "success",
                                     "results",  "columns",   "meta"};
static const char FIELDS_KEY = 0; /* its address is theirs in the registry */

void cdb__lua_open_run(lua_State *L) {
  lua_createtable(L, META, 0);
  for (int i = 1; i <= META; i++) {
    lua_pushstring(L, FIELDS[i]);
    lua_rawseti(L, -2, i);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &FIELDS_KEY);
}

static inline void set_integer(lua_State *L, int fields, int field, int64_t value) {
  lua_rawgeti(L, fields, field);
  lua_pushinteger(L, value);
  lua_rawset(L, -3);
}

/* A count that the shard did not tell is left out. */
static inline void set_count(lua_State *L, int fields, int field, int64_t count) {
  if (count != INT64_MIN) set_integer(L, fields, field, count);
}

/* The meta of a result, but for its duration; returns the changes. */
static inline int64_t push_meta(lua_State *L, const cdb__lua_shard *shard, cdb__stmt *stmt, int fields) {
  const cdb__shard_ops *ops = stmt->shard->ops;
  const int64_t changes = ops->changes(stmt);
  lua_createtable(L, 0, 4);
  set_integer(L, fields, CHANGES, changes);
  set_count(L, fields, LAST_ROW_ID, ops->last_row_id(stmt));
  lua_rawgeti(L, fields, SERVED_BY);
  lua_pushstring(L, shard->name);
  lua_rawset(L, -3);
  if (!ops->cost) return changes;
  int64_t rows_read, rows_written;
  ops->cost(stmt, &rows_read, &rows_written);
  set_count(L, fields, ROWS_READ, rows_read);
  set_count(L, fields, ROWS_WRITTEN, rows_written);
  return changes;
}

static void push_copy(lua_State *L, int array, int count) {
  lua_createtable(L, count, 0);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, array, i);
    lua_rawseti(L, -2, i);
  }
}

__attribute__((always_inline)) static inline int
finish_run(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt *stmt, int64_t start) {
  cdb__fault fault;
  stmt->wanted = CDB__WANT_RESULT;
  if (push_rows(L, shard, stmt, call, &fault) < 0) return fail_step(L, shard, stmt, &fault, call, "run");
  const int rows = lua_gettop(L), names = rows - 1, fields = rows + 1, meta = rows + 2;
  const int columns = stmt->columns;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &FIELDS_KEY);
  const int64_t changes = push_meta(L, shard, stmt, fields);
  if (take_back(shard, stmt, &fault) != CDB_OK) return refuse(L, shard, &fault, call, "run");
  lua_rawgeti(L, fields, DURATION);
  lua_pushnumber(L, (double)(cdb__clock_ticks() - start) / 1e6);
  lua_rawset(L, meta);
  lua_createtable(L, 0, 4);
  lua_rawgeti(L, fields, SUCCESS);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_rawgeti(L, fields, RESULTS);
  lua_pushvalue(L, rows);
  lua_rawset(L, -3);
  lua_rawgeti(L, fields, COLUMNS);
  push_copy(L, names, columns);
  lua_rawset(L, -3);
  lua_rawgeti(L, fields, META);
  lua_pushvalue(L, meta);
  lua_rawset(L, -3);
  const bool nothing = call->key_arg && changes == 0 && lua_rawlen(L, rows) == 0;
  return nothing ? cdb__lua_look_after(L, shard, call, cdb__lua_run) : 1;
}

int cdb__lua_run(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call) {
  const int64_t start = cdb__clock_ticks();
  return finish_run(L, shard, call, begin(L, shard, call, CDB__FRAME), start);
}

int cdb__lua_finish_run(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt *stmt,
                        int64_t start) {
  return finish_run(L, shard, call, stmt, start);
}
