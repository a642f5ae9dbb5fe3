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

typedef struct bind_cursor bind_cursor;
typedef struct bind_db bind_db;

/* A connection to one shard. `handle` is NULL once closed. */
typedef struct {
  cdb__shard *handle;
  cdb__stmt *running;   /* statements of calls in progress, innermost first */
  bind_cursor *cursors; /* open ones, so that closing can end them */
  bind_db *db;          /* the router it serves, or NULL */
  int tx_depth;         /* open transactions and savepoints of tx objects */
  char name[128];
} bind_shard;

/* A transaction (depth 1) or savepoint (deeper) on a shard; user value 1 is the shard. */
typedef struct {
  bind_shard *shard;
  int depth;  /* 0 once ended */
  bool inner; /* no transaction at all, but CollegeDB's own reads, which none of the user's keeps out */
  bool has_key;
  cdb__hash key; /* the one it was routed by, for check_keys */
} bind_tx;

/* Rows of one statement for `each`. User value 1 keeps the shard, 2 the parameters. */
struct bind_cursor {
  bind_shard *shard;
  cdb__stmt *stmt; /* NULL once closed */
  int ended;       /* all rows were read; else `stmt` NULL means closed early */
  bind_cursor *next, **link;
};

typedef struct {
  size_t size;
  char data[];
} bind_blob;

/* An explicit key: keyspace and text behind one another in `data`. */
typedef struct {
  size_t space_size, text_size;
  char data[];
} bind_key;

/* The directory's entries. User value 1 is the shard, 2 the secret. */
typedef struct {
  bind_shard *shard;
  cdb__directory entries;
  const char *secret;
  size_t secret_size;
} bind_directory;

typedef struct {
  size_t count;
  cdb__node nodes[];
} bind_placement;

enum { BIND_KEY_UNKNOWN, BIND_KEY_TEXT, BIND_KEY_INTEGER, BIND_KEY_NUMERIC };

/* What is known about one SQL text, so that it is scanned once (plan.c). */
typedef struct bind_plan {
  struct bind_plan *next;
  uint64_t hash;
  size_t size;
  cdb__sql_kind kind;
  char table[256];     /* main table, unquoted; "" if none */
  unsigned catalog;    /* the catalog version that the fields below are of */
  int key_kind;        /* BIND_KEY_… of the main table's key column */
  bool fold;           /* the key column compares NOCASE */
  cdb__keyspace space; /* of integer keys; its name is `space_name` */
  char space_name[384];
  char sql[];
} bind_plan;

enum { BIND_PLAN_BUCKETS = 512, BIND_PLAN_LIMIT = 1000, BIND_PLAN_GUESSES = 64 };

/* How C alone finds the key that is not in the cache, while that is simple:
 * no shard is probed, one placement counts, and an INSERT claims nothing. Set by
 * Lua for one epoch (core.set_homes); in any other case Lua is asked (home.c). */
typedef struct {
  bool set;
  int64_t epoch;
  bind_directory *directory;
  const bind_placement *global, *integers; /* for keys of the global keyspace, and of tables' own */
  int *global_index, *integer_index;       /* shard index of each node, or -1 */
  int64_t *ids;                            /* the directory's id of each shard */
} bind_homes;

/* The router. User value 1: the Lua state, 2: the array of shards,
 * 3: resolve(state, keyspace, text, table, insert), 4: describe(state, table),
 * 5: what `homes` points to. */
struct bind_db {
  const void *magic; /* see test_db in route.c */
  bool open;
  bool check_keys;
  int shard_count;
  bind_shard **shards;
  cdb__cache *cache;
  int64_t life_ms;
  cdb__clock clock;
  int64_t fixed_now; /* for tests: the time of a clock that stands still */
  uint64_t seed;
  unsigned catalog;
  cdb__keyspace global;
  bind_homes homes;
  struct bind_check_table *checked; /* tables to look at, for check_keys */
  int plan_count;
  bind_plan *plans[BIND_PLAN_BUCKETS];
  bind_plan *guesses[BIND_PLAN_GUESSES]; /* by the text's address, which saves its hash */
};

struct bind_call;

/* --- failing (fail.c) ----------------------------------------------------- */

/* Raises an error object made of the fault; `shard` and `call` may be NULL. */
int bind_raise(lua_State *L, const cdb__fault *fault, const char *shard, const struct bind_call *call);
__attribute__((format(printf, 3, 4))) int bind_fail(lua_State *L, int code, const char *format, ...);
int bind_fail_string(lua_State *L, int arg, const char *what);
/* Raises USAGE unless the argument is a string; returns it. */
static inline const char *bind_check_string(lua_State *L, int arg, const char *what, size_t *size) {
  if (lua_type(L, arg) != LUA_TSTRING) bind_fail_string(L, arg, what);
  return lua_tolstring(L, arg, size);
}

/* --- values (values.c) ---------------------------------------------------- */

/* Binds the params table (or none) at `arg`. Returns 0 or a code with `fault` filled. */
int bind_params(lua_State *L, int arg, cdb__stmt *stmt, cdb__fault *fault);
void bind_push_value(lua_State *L, const cdb_value *value);
/* Pushes the array of column names kept with the statement, made when needed. */
void bind_push_names(lua_State *L, cdb__stmt *stmt);
/* Pushes the current row; `names` is the index of the array above. */
void bind_push_row(lua_State *L, cdb__stmt *stmt, int names);

/* --- running (run.c, cursor.c) -------------------------------------------- */

typedef struct bind_call {
  const char *sql;
  size_t size;
  uint64_t hash;
  int params;         /* stack index */
  int key_arg;        /* stack index of the key it was routed by; 0 is none */
  cdb__sql_kind kind; /* of routed calls only, as is: */
  cdb__hash key;      /* the hash of the key it was routed by */
} bind_call;

typedef int (*bind_runner)(lua_State *, bind_shard *, const bind_call *);

int bind_run(lua_State *L, bind_shard *shard, const bind_call *call);
int bind_first(lua_State *L, bind_shard *shard, const bind_call *call);
int bind_all(lua_State *L, bind_shard *shard, const bind_call *call);
int bind_each(lua_State *L, bind_shard *shard, int shard_index, const bind_call *call);

/* Takes a statement out and binds it (`frame`: see run.c); ends it, with its code. */
#define BIND_FRAME ((uintptr_t)__builtin_frame_address(0))
cdb__stmt *bind_begin(lua_State *L, bind_shard *shard, const bind_call *call, uintptr_t frame);
int bind_end(bind_shard *shard, cdb__stmt *stmt, cdb__fault *fault);

void bind_cursor_end(bind_cursor *cursor, cdb__fault *fault);

/* --- plans and keys (plan.c, key.c) --------------------------------------- */

/* The plan of call->sql, and its hash into call->hash; asks Lua's describe for what the catalog says. */
bind_plan *bind_plan_for(lua_State *L, bind_db *db, int db_index, bind_call *call);
void bind_plans_free(bind_db *db);

/* What a key argument is read into: the key may point into the other two. */
typedef struct {
  cdb__key key;
  cdb__keyspace space;
  char folded[CDB__KEY_MAX];
} bind_key_arg;

/* Reads the key at `arg` for a statement of `plan` (or NULL: no table is known). */
void bind_check_key(lua_State *L, int arg, bind_db *db, const bind_plan *plan, bind_key_arg *out);

bind_db *bind_check_db(lua_State *L, int arg);
bind_shard *bind_check_shard(lua_State *L, int arg);
bind_directory *bind_check_directory(lua_State *L, int arg);

/* A new closed bind_shard on the stack. */
bind_shard *bind_new_shard(lua_State *L, const char *name);

/* --- homes (home.c) -------------------------------------------------------- */

/* The key's shard index by directory and placement alone, or -1: ask Lua. */
int bind_find_home(lua_State *L, bind_db *db, const cdb__key *key, int *why);
int bind_set_homes(lua_State *L);
void bind_homes_free(bind_db *db);

/* Why a key is where it is; lua/collegedb/router.lua returns these numbers. */
enum { BIND_HOME, BIND_DIRECTORY, BIND_FOUND, BIND_CLAIMED, BIND_UNCLAIMED, BIND_WHY_COUNT };

/* --- check_keys (check.c) ------------------------------------------------- */

/* Runs a routed call and raises USAGE, undoing it, when it touched rows of another key. */
int bind_checked_run(lua_State *L, bind_db *db, bind_shard *shard, const bind_call *call, bind_runner run);
/* core.check_tables(db, { { name, column, kind, keyspace, fold }, … }): what to look at. */
int bind_check_tables(lua_State *L);
void bind_check_tables_free(bind_db *db);

int bind_on_error(lua_State *L); /* fail.c */

void bind_open_shard(lua_State *L);
void bind_open_cursor(lua_State *L);
void bind_open_values(lua_State *L);
void bind_open_keys(lua_State *L);
void bind_open_route(lua_State *L);
void bind_open_directory(lua_State *L);
void bind_open_takeover(lua_State *L);
void bind_open_files(lua_State *L);

#endif
