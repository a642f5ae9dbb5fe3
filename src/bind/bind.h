/* What the Lua bindings share: the classes' structs, and how they fail.
 *
 * A binding checks its arguments, calls the core, and pushes the result.
 * Userdata are created closed and get their metatable before the resource is
 * opened, so that a failure half way is already safe. Parents are kept alive
 * through user values. */
#ifndef CDB_BIND_BIND_H
#define CDB_BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <string.h>

#include "bind/meter.h"
#include "core/cache.h"
#include "core/clock.h"
#include "core/key.h"
#include "core/placement.h"
#include "core/scanner.h"
#include "directory/directory.h"
#include "shard/shard.h"

#define CDB__SHARD_CLASS "collegedb.shard"
#define CDB__TX_CLASS "collegedb.tx"
#define CDB__CURSOR_CLASS "collegedb.cursor"
#define CDB__DB_CLASS "collegedb.db"
#define CDB__KEY_CLASS "collegedb.key"
#define CDB__BLOB_CLASS "collegedb.blob"
#define CDB__DIRECTORY_CLASS "collegedb.directory"
#define CDB__PLACEMENT_CLASS "collegedb.placement"

typedef struct cdb__lua_cursor cdb__lua_cursor;
typedef struct cdb__lua_db cdb__lua_db;

/* A connection to one shard. `handle` is NULL once closed. Its user values keep alive what the shard uses. */
typedef struct {
  cdb__shard *handle;
  bool closing;             /* close was called from inside a call; it ends when that one does */
  uintptr_t stepping;       /* the C frame in which a cursor is read, or 0 */
  cdb__stmt *running;       /* statements of calls in progress, innermost first */
  cdb__lua_cursor *cursors; /* open ones, so that closing can end them */
  cdb__lua_db *db;          /* the router it serves, or NULL */
  int tx_depth;             /* open transactions and savepoints of tx objects */
  unsigned altered;         /* counts what may have changed the schema through this connection */
  bool fence;               /* keys may have left it: a statement that met nothing must look */
  uint64_t statements[2];   /* writes and reads, while there is a meter */
  int64_t until_timed;      /* statements until one is timed; never where there is no meter */
  cdb__meter *meter;        /* of a router's shard (meter.c), or NULL */
  char name[128];
} cdb__lua_shard;

/* A transaction (depth 1) or savepoint (deeper) on a shard; user value 1 is the shard. */
typedef struct {
  cdb__lua_shard *shard;
  int depth;  /* 0 once ended */
  bool inner; /* no transaction at all, but CollegeDB's own reads, which none of the user's keeps out */
  bool has_key;
  cdb__hash key; /* the one it was routed by, for check_keys */
} cdb__lua_tx;

/* Rows of one statement for `each`. User value 1 keeps the shard, 2 the parameters, 3 the cursor that it
 * holds. */
struct cdb__lua_cursor {
  cdb__lua_shard *shard;
  cdb__lua_cursor *held; /* ends with this one */
  cdb__stmt *stmt;       /* NULL once closed */
  int tx_depth;          /* of the transaction that it was opened in; it ends with that */
  bool inner;            /* of CollegeDB's own */
  int ended;             /* all rows were read; else `stmt` NULL means closed early */
  bool ahead;            /* its first row was stepped to already */
  cdb__lua_cursor *next, **link;
};

typedef struct {
  size_t size;
  char data[];
} cdb__lua_blob;

/* An explicit key: keyspace and text behind one another in `data`. */
typedef struct {
  size_t space_size, text_size;
  char data[];
} cdb__lua_key;

/* The directory's entries. User value 1 is the shard, 2 the secret. */
typedef struct {
  cdb__lua_shard *shard;
  cdb__directory entries;
  const char *secret;
  size_t secret_size;
} cdb__lua_directory;

typedef struct {
  size_t count;
  cdb__node nodes[];
} cdb__lua_placement;

enum { CDB__KEY_UNKNOWN, CDB__KEY_TEXT, CDB__KEY_INTEGER, CDB__KEY_NUMERIC };

/* What is known about one SQL text, so that it is scanned once (plan.c). */
typedef struct cdb__lua_plan {
  struct cdb__lua_plan *next;
  uint64_t hash;
  size_t size;
  uint64_t id; /* a random number: no other text has it */
  cdb__sql_kind kind;
  char table[256];     /* main table, unquoted; "" if none */
  unsigned catalog;    /* the catalog version that the fields below are of */
  int key_kind;        /* CDB__KEY_… of the main table's key column */
  bool fold;           /* strings that are its keys compare NOCASE */
  bool member;         /* its integer keys are rows' own inside a group: no shard is their home */
  bool text_member;    /* so may be its strings */
  bool tells_nothing;  /* gives no row where none is, unlike SELECT count(*) */
  cdb__keyspace space; /* of integer keys; its name is `space_name` */
  char space_name[384];
  char sql[];
} cdb__lua_plan;

enum { CDB__PLAN_BUCKETS = 512, CDB__PLAN_LIMIT = 1000, CDB__TEXTS = 64 };

/* A Lua string that is a plan's text. The router keeps it alive (user value 7), so that no other string can
 * come to have its address. */
typedef struct {
  const void *string;
  const char *sql; /* its bytes */
  cdb__lua_plan *plan;
} cdb__lua_known_text;

/* Where one placement puts keys without a tag. */
typedef struct {
  const cdb__lua_placement *global, *integers; /* for keys of the global keyspace, and of tables' own */
  int *global_index, *integer_index;           /* shard index of each node, or -1 */
} cdb__lua_homes_of;

/* How C alone finds the key that is not in the cache, while that is simple: no shard is probed, all
 * placements that count agree on its home, and an INSERT claims nothing. Set by Lua for one epoch
 * (core.set_homes); in any other case Lua is asked (home.c). */
typedef struct {
  bool set;
  int64_t epoch;
  cdb__lua_directory *directory;
  cdb__lua_homes_of *placements; /* the newest first */
  size_t placement_count;
  int64_t *ids;      /* the directory's id of each shard */
  uint64_t *members; /* keyspaces without homes, by their seed */
  size_t member_count;
} cdb__lua_homes;

/* Whether calls are answered: with ATTENTION, once Lua has looked at the news (background.c). */
enum { CDB__DB_CLOSED, CDB__DB_OPEN, CDB__DB_ATTENTION };

/* The router. User value 1: the Lua state, 2: the array of shards,
 * 3: resolve(state, keyspace, text, table, insert), 4: describe(state, table),
 * 5: what `homes` points to, 6: moved(state, db, method, key, sql, params, index, why), 7: the strings of
 * `texts`. */
struct cdb__lua_db {
  const void *magic; /* see test_db in route.c */
  atomic_int open;   /* CDB__DB_…: another thread may ask for attention */
  bool check_keys;
  bool strict;       /* reads look at the fence */
  bool careful;      /* one of these, or a shard has copies: a call is no plain one */
  bool text_members; /* a string may be the key of a row inside a group */
  bool fold;         /* strings without a table compare NOCASE */
  bool either;       /* of some tables they do, of others not */
  int shard_count;
  cdb__lua_shard **shards;
  cdb__cache *cache;
  int64_t life_ms;
  cdb__clock clock;
  int64_t fixed_now; /* for tests: the time of a clock that stands still */
  uint64_t seed;
  unsigned catalog;
  cdb__keyspace global;
  cdb__lua_homes homes;
  struct cdb__lua_background *background; /* or NULL */
  struct cdb__lua_check_table *checked;   /* tables to look at, for check_keys */
  cdb__watch watch;
  int plan_count;
  cdb__lua_plan *plans[CDB__PLAN_BUCKETS];
  cdb__lua_known_text texts[CDB__TEXTS]; /* by the string's address */
};

struct cdb__lua_call;

/* --- failing (fail.c) ----------------------------------------------------- */

/* Raises an error object made of the fault; `shard` and `call` may be NULL. */
int cdb__lua_raise(lua_State *L, const cdb__fault *fault, const char *shard,
                   const struct cdb__lua_call *call);
__attribute__((format(printf, 3, 4))) int cdb__lua_fail(lua_State *L, int code, const char *format, ...);
int cdb__lua_fail_string(lua_State *L, int arg, const char *what);
/* Raises USAGE unless the argument is a string; returns it. */
static inline const char *cdb__lua_check_string(lua_State *L, int arg, const char *what, size_t *size) {
  if (lua_type(L, arg) != LUA_TSTRING) cdb__lua_fail_string(L, arg, what);
  return lua_tolstring(L, arg, size);
}

/* --- fields of tables (fields.c) ------------------------------------------ */

/* A field that is nil is `otherwise`, false or NULL; a text stays alive in its table. */
int64_t cdb__lua_integer_field(lua_State *L, int table, const char *name, int64_t otherwise);
bool cdb__lua_boolean_field(lua_State *L, int table, const char *name);
const char *cdb__lua_text_field(lua_State *L, int table, const char *name, size_t *size);
/* Sets a field of the table on top. */
void cdb__lua_set_integer(lua_State *L, const char *name, int64_t value);

/* --- values (values.c) ---------------------------------------------------- */

/* Binds the params table (or none) at `arg`. Returns 0 or a code with `fault` filled. */
int cdb__lua_params(lua_State *L, int arg, cdb__stmt *stmt, cdb__fault *fault);
/* Pushes the array of column names kept with the statement, made when needed. */
void cdb__lua_make_names(lua_State *L, cdb__stmt *stmt);
static inline void cdb__lua_push_names(lua_State *L, cdb__stmt *stmt) {
  if (stmt->host && stmt->host_prepared == stmt->prepared) lua_rawgeti(L, LUA_REGISTRYINDEX, stmt->host);
  else cdb__lua_make_names(L, stmt);
}
/* Of no key: for rows on another stack than the key's. */
extern const struct cdb__lua_call cdb__lua_no_key;
/* Pushes the current row; `names` is where the array above is then, counted from the top. */
void cdb__lua_push_row(lua_State *L, cdb__stmt *stmt, int names, const struct cdb__lua_call *call);
/* Pushes collegedb.null. */
void cdb__lua_push_null(lua_State *L);

/* --- running (run.c, cursor.c) -------------------------------------------- */

typedef struct cdb__lua_call {
  const char *sql;
  size_t size;
  uint64_t hash;
  int params;           /* stack index */
  int key_arg;          /* stack index of the key it was routed by; 0 is none */
  const char *key_text; /* its bytes where it is a plain string; the size is 0 else */
  size_t key_size;
  uint64_t id;        /* of the plan, or 0 */
  cdb__sql_kind kind; /* of routed calls only, as is: */
  cdb__hash key;      /* the hash of the key it was routed by */
  int why;            /* that key is where it was routed to */
  bool inner;         /* one of CollegeDB's own reads, which is not counted */
} cdb__lua_call;

typedef int (*cdb__lua_runner)(lua_State *, cdb__lua_shard *, const cdb__lua_call *);

int cdb__lua_run(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call);
int cdb__lua_first(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call);
int cdb__lua_all(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call);
/* The same of a statement that was begun by cdb__lua_begin; `start`: cdb__clock_ticks before that. */
int cdb__lua_finish_first(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt *stmt);
int cdb__lua_finish_all(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt *stmt);
int cdb__lua_finish_run(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__stmt *stmt,
                        int64_t start);
int cdb__lua_each(lua_State *L, cdb__lua_shard *shard, int shard_index, const cdb__lua_call *call);
/* Steps the cursor on top to its first row; false, and it is at its end, when there is none. */
bool cdb__lua_each_start(lua_State *L);

/* After a statement that changed the schema, or met a changed one, plans ask the catalog again. */
void cdb__lua_note_schema(cdb__lua_shard *shard, cdb__stmt *stmt);

/* Takes a statement out and binds it (`frame`: see run.c); ends it, with its code. */
#define CDB__FRAME ((uintptr_t)__builtin_frame_address(0))
cdb__stmt *cdb__lua_begin(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, uintptr_t frame);
/* The same where statements of the same frame run on the shard: they are not taken for unwound ones. */
cdb__stmt *cdb__lua_begin_beside(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call,
                                 uintptr_t frame);
/* Counts the fault as one of the shard's, unless the call is CollegeDB's own, and raises it; `call` may be
 * NULL. */
int cdb__lua_fail_on(lua_State *L, const cdb__lua_shard *shard, const cdb__fault *fault,
                     const cdb__lua_call *call);
/* Takes back what errors have left running on the shard; cdb__lua_begin does so by itself. */
void cdb__lua_recover_unwound(cdb__lua_shard *shard, uintptr_t frame);
int cdb__lua_end(cdb__lua_shard *shard, cdb__stmt *stmt, cdb__fault *fault);
/* Ends it if an error has left it running. It may be gone. */
void cdb__lua_end_left(cdb__lua_shard *shard, cdb__stmt *stmt);

void cdb__lua_cursor_end(cdb__lua_cursor *cursor, cdb__fault *fault);
/* Ends the cursors of transactions from `depth` on. */
void cdb__lua_cursors_end(cdb__lua_shard *shard, int depth);

/* --- counting (meter.c, statistics.c) -------------------------------------- */

/* Gives a router's shard its meter, and takes it away. False: no memory. */
bool cdb__lua_meter_begin(cdb__lua_shard *shard);
void cdb__lua_meter_end(cdb__lua_shard *shard);
/* Counts from nothing on. */
void cdb__lua_meter_reset(cdb__lua_shard *shard);
/* Begins a measurement, and plans the next one; so that none waits for the end of one that never ends. */
void cdb__lua_meter_time(cdb__lua_shard *shard, cdb__stmt *stmt);
/* Ends a measurement. */
void cdb__lua_meter_record(cdb__lua_shard *shard, cdb__stmt *stmt);
/* Of a counted statement that is not to be timed: the next one is, where it was its turn. */
void cdb__lua_meter_pass(cdb__lua_shard *shard, cdb__stmt *stmt, const struct cdb__lua_call *call);
/* An error of a call on the shard; cdb__lua_fail_on counts it by itself. */
void cdb__lua_meter_error(const cdb__lua_shard *shard, int code);
/* On the hot path: a statement begins. */
static inline void cdb__lua_meter_count(cdb__lua_shard *shard, cdb__stmt *stmt, const cdb__lua_call *call) {
  if (call->inner) return;
  shard->statements[stmt->readonly]++;
  if (--shard->until_timed == 0) cdb__lua_meter_time(shard, stmt);
}
/* Writes a shard's counts to the router's file, if that was not done just now. */
void cdb__lua_statistics_write(cdb__lua_db *db, const cdb__lua_shard *shard, int64_t now);
void cdb__lua_statistics_end(cdb__lua_db *db);

/* --- plans and keys (plan.c, key.c) --------------------------------------- */

/* The plan of call->sql, and its hash into call->hash; asks Lua's describe for what the catalog says. */
cdb__lua_plan *cdb__lua_plan_for(lua_State *L, cdb__lua_db *db, int db_index, cdb__lua_call *call);

/* The same of a routed call, whose database is at 1 and SQL text at 3; fills in the text. */
cdb__lua_plan *cdb__lua_plan_meet(lua_State *L, cdb__lua_db *db, cdb__lua_call *call);

/* Where what is known of a string would stand. */
static inline cdb__lua_known_text *cdb__lua_known(cdb__lua_db *db, const void *string) {
  return &db->texts[(uintptr_t)string / 16 % CDB__TEXTS];
}

/* On the hot path: a program's text mostly is the same Lua string as before, which tells its plan. */
static inline cdb__lua_plan *cdb__lua_plan_at(lua_State *L, cdb__lua_db *db, cdb__lua_call *call) {
  const void *string = lua_topointer(L, 3);
  const cdb__lua_known_text *known = cdb__lua_known(db, string);
  if (known->string != string || !known->plan || known->plan->catalog != db->catalog)
    return cdb__lua_plan_meet(L, db, call);
  call->sql = known->sql;
  call->size = known->plan->size;
  call->hash = known->plan->hash;
  call->id = known->plan->id;
  return known->plan;
}
void cdb__lua_plans_free(cdb__lua_db *db);

/* What a key argument is read into: the key may point into the other two. */
typedef struct {
  cdb__key key;
  cdb__keyspace space;
  char folded[CDB__KEY_MAX];
} cdb__lua_key_arg;

/* Raises USAGE for a string with capitals, of which no table is known, where some tables compare NOCASE and
 * others do not: it may be two keys. db:locate takes it as it is written. */
void cdb__lua_refuse_capitals(lua_State *L, int arg, const cdb__lua_db *db);

/* Reads the key at `arg` for a statement of `plan` (or NULL: no table is known). */
void cdb__lua_check_key(lua_State *L, int arg, cdb__lua_db *db, const cdb__lua_plan *plan,
                        cdb__lua_key_arg *out);

/* Raises CLOSED unless the shard is open; BUSY too while a transaction of the instance is open on it. */
static inline void cdb__lua_check_open(lua_State *L, const cdb__lua_shard *shard) {
  if (!shard->handle || shard->closing) cdb__lua_fail(L, CDB_CLOSED, "shard %s was closed", shard->name);
}

static inline void cdb__lua_check_free(lua_State *L, const cdb__lua_shard *shard) {
  cdb__lua_check_open(L, shard);
  if (shard->tx_depth)
    cdb__lua_fail(L, CDB_BUSY, "a transaction of this instance is open on shard %s: use its tx until it ends",
                  shard->name);
}

/* Closes the connection, or has it closed when the call in progress ends: a
 * finalizer may close a database while C builds a row of it. `frame`: see run.c. */
void cdb__lua_close_shard(cdb__lua_shard *shard, uintptr_t frame);
/* At the end of a call: closes what asked for it meanwhile. */
static inline void cdb__lua_settle_shard(cdb__lua_shard *shard, uintptr_t frame) {
  if (shard->closing) cdb__lua_close_shard(shard, frame);
}

extern const char cdb__lua_db_magic; /* its address in a router proves what the userdata is */
cdb__lua_db *cdb__lua_check_db(lua_State *L, int arg);
cdb__lua_db *cdb__lua_test_db(lua_State *L, int arg);
/* Keeps in the mapping cache where a key is. */
void cdb__lua_keep(cdb__lua_db *db, cdb__hash hash, int index, int why);
cdb__lua_shard *cdb__lua_check_shard(lua_State *L, int arg);
/* Pushes a shard that is still closed, and opens it with what a backend made. */
cdb__lua_shard *cdb__lua_new_shard(lua_State *L, const char *name, int user_values);
void cdb__lua_adopt_shard(lua_State *L, cdb__lua_shard *shard);
/* The shard of a shard, a transaction or core.inner at `arg`; its own index in *index, pushed where it is
 * none. */
cdb__lua_shard *cdb__lua_shard_of(lua_State *L, int arg, int *index);
/* Of what that gave the shard for: is it core.inner? */
bool cdb__lua_is_inner(lua_State *L, int arg, const cdb__lua_shard *shard);
cdb__lua_directory *cdb__lua_check_directory(lua_State *L, int arg);

/* --- homes (home.c) -------------------------------------------------------- */

/* The key's shard index by directory and placement alone, or -1: ask Lua. */
int cdb__lua_find_home(lua_State *L, cdb__lua_db *db, const cdb__key *key, int *why);
/* A routed statement met the fence (`refused`), or nothing where keys may have left: Lua runs it where the
 * key is now. True: its result is on top. False: nothing is to be done, and nothing was pushed. */
bool cdb__lua_follow(lua_State *L, const cdb__lua_shard *shard, const cdb__lua_call *call, const char *method,
                     bool refused);
const char *cdb__lua_method_of(cdb__lua_runner run); /* first, all or run */
/* A routed statement met nothing, and says so on top: run again where its key has gone, if it has. Returns 1.
 */
int cdb__lua_look_after(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__lua_runner run);
int cdb__lua_set_homes(lua_State *L);
void cdb__lua_homes_free(cdb__lua_db *db);

/* Why a key is where it is; lua/collegedb/router.lua returns these numbers. */
enum {
  CDB__HOME,
  CDB__DIRECTORY,
  CDB__FOUND,
  CDB__CLAIMED,
  CDB__UNCLAIMED,
  CDB__ROOTED,
  CDB__ROOTED_ENTRY,
  CDB__OLD_HOME,
  CDB__FOLLOWED,
  CDB__WHY_COUNT
};

/* --- check_keys (check.c) ------------------------------------------------- */

/* Runs a routed call and raises USAGE, undoing it, when it touched rows of another key. */
int cdb__lua_checked_run(lua_State *L, cdb__lua_db *db, cdb__lua_shard *shard, const cdb__lua_call *call,
                         cdb__lua_runner run);
/* The same for `each`: what a write touches is known only at its end, so its rows are gathered first. */
int cdb__lua_checked_each(lua_State *L, cdb__lua_db *db, cdb__lua_shard *shard, const cdb__lua_call *call);
/* core.check_tables(db, { { name, column, kind, keyspace, fold }, … }): what to look at. */
int cdb__lua_check_tables(lua_State *L);
void cdb__lua_check_tables_free(cdb__lua_db *db);

int cdb__lua_on_error(lua_State *L); /* fail.c */

/* --- integration in the background (background.c) -------------------------- */

/* For a router that is not simply open: raises CLOSED, or has Lua look at the news. */
void cdb__lua_attend(lua_State *L, int arg, cdb__lua_db *db);
/* Stops the thread and waits for it. */
void cdb__lua_background_end(cdb__lua_db *db);
int cdb__lua_filelock(lua_State *L, int arg); /* files.c: the descriptor */

void cdb__lua_open_shard(lua_State *L);
void cdb__lua_open_cursor(lua_State *L);
void cdb__lua_open_values(lua_State *L);
void cdb__lua_open_run(lua_State *L);
void cdb__lua_open_keys(lua_State *L);
void cdb__lua_open_route(lua_State *L);
void cdb__lua_open_router(lua_State *L);
void cdb__lua_open_directory(lua_State *L);
void cdb__lua_open_takeover(lua_State *L);
void cdb__lua_open_files(lua_State *L);
void cdb__lua_open_file_facts(lua_State *L);
void cdb__lua_open_limit(lua_State *L);
void cdb__lua_open_copy(lua_State *L);
void cdb__lua_open_encode(lua_State *L);
void cdb__lua_open_pause(lua_State *L);
void cdb__lua_open_background(lua_State *L);
void cdb__lua_open_net(lua_State *L);
void cdb__lua_open_d1(lua_State *L);
void cdb__lua_open_together(lua_State *L);
void cdb__lua_open_statistics(lua_State *L);

#endif
