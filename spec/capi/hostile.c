/* The C interface called as nobody should: NULL everywhere, values of no type,
 * configs that fail in every way, rows used too early, too late, and after
 * their router. Runs in an empty folder; prints "ok". */
#include <math.h>
#include <pthread.h>

#include "check.h"

static const char CONFIG[] =
    "local c = require 'collegedb'\n"
    "local config = { kv = 'dir.db', shards = { { name = 'db-east', 'east.db', busy_timeout = 0 },\n"
    "  { name = 'db-west', 'west.db', busy_timeout = 0 } } }\n"
    "local db <close> = c.open(config)\n"
    "db:ensure_schema 'CREATE TABLE IF NOT EXISTS t (id TEXT PRIMARY KEY, v);"
    "  CREATE TABLE IF NOT EXISTS n (id INTEGER PRIMARY KEY, v)'\n"
    "return config\n";

static void check_null_arguments(cdb *db) {
  const cdb_value key = text("k");
  cdb_rows *rows = (cdb_rows *)db;
  char shard[64];
  FAILS(CDB_USAGE, "place", cdb_open(NULL, "config.lua", &err));
  cdb *none = db;
  FAILS(CDB_USAGE, "path", cdb_open(&none, NULL, &err));
  CHECK(none == NULL);
  FAILS(CDB_USAGE, "place", cdb_query(db, &key, "SELECT 1", NULL, 0, NULL, &err));
  FAILS(CDB_USAGE, "router", cdb_query(NULL, &key, "SELECT 1", NULL, 0, &rows, &err));
  CHECK(rows == NULL);
  FAILS(CDB_USAGE, "key", cdb_query(db, NULL, "SELECT 1", NULL, 0, &rows, &err));
  FAILS(CDB_USAGE, "SQL", cdb_query(db, &key, NULL, NULL, 0, &rows, &err));
  FAILS(CDB_USAGE, "parameters", cdb_query(db, &key, "SELECT ?", NULL, 1, &rows, &err));
  FAILS(CDB_USAGE, "rows", cdb_rows_next(NULL, &err));
  FAILS(CDB_USAGE, "buffer", cdb_locate(db, &key, NULL, 9, &err));
  FAILS(CDB_USAGE, "router", cdb_locate(NULL, &key, shard, sizeof shard, &err));
  FAILS(CDB_USAGE, "key", cdb_locate(db, NULL, shard, sizeof shard, &err));
  CHECK(cdb_open(NULL, NULL, NULL) == CDB_USAGE &&
        cdb_query(NULL, NULL, NULL, NULL, 9, NULL, NULL) == CDB_USAGE);
  CHECK(cdb_query(db, &key, "nonsense", NULL, 0, &rows, NULL) == CDB_SQL);
  CHECK(cdb_rows_next(NULL, NULL) == CDB_USAGE && cdb_locate(NULL, NULL, NULL, 0, NULL) == CDB_USAGE);
  CHECK(cdb_open(&none, "nowhere.lua", NULL) == CDB_CONFIG);
  CHECK(cdb_rows_columns(NULL) == 0 && cdb_rows_name(NULL, 0) == NULL && cdb_rows_changes(NULL) == 0);
  CHECK(same(cdb_rows_value(NULL, 0), null()));
  cdb_rows_close(NULL);
  cdb_close(NULL);
}

static int open_with(const char *body) {
  cdb *db = (cdb *)&failures;
  const int code = cdb_open(&db, config(body), &err);
  CHECK(db == NULL);
  return code;
}

static void check_configs(void) {
  cdb *db;
  FAILS(CDB_CONFIG, "nowhere.lua", cdb_open(&db, "nowhere.lua", &err));
  FAILS(CDB_CONFIG, "", cdb_open(&db, "", &err));
  FAILS(CDB_CONFIG, "irectory", cdb_open(&db, ".", &err));
  FAILS(CDB_CONFIG, "nil", open_with(""));
  FAILS(CDB_CONFIG, "number", open_with("return 7"));
  FAILS(CDB_CONFIG, "kv", open_with("return {}"));
  FAILS(CDB_CONFIG, "colour", open_with("return { kv = 'dir.db', colour = 1, shards = { a = 'a.db' } }"));
  FAILS(CDB_SCRIPT, "config.lua:1:", open_with("return ="));
  FAILS(CDB_SCRIPT, "binary", open_with("\033Lua"));
  FAILS(CDB_SCRIPT, "boom", open_with("error 'boom'"));
  FAILS(CDB_SCRIPT, "table", open_with("error {}"));
  FAILS(CDB_SCRIPT, "nil", open_with("error()"));
  FAILS(CDB_SCRIPT, "file", open_with("error(io.stdout)"));
  FAILS(CDB_SCRIPT, "", open_with("error(setmetatable({}, { __tostring = function() return {} end }))"));
  FAILS(CDB_SCRIPT, "", open_with("error(setmetatable({}, { __tostring = function() error {} end }))"));
  FAILS(CDB_SCRIPT, "overflow", open_with("local function f() return 1 + f() end f()"));
  FAILS(CDB_SCRIPT, "os.exit", open_with("os.exit(0)"));
  FAILS(CDB_SCRIPT, "yield", open_with("coroutine.yield()"));
  FAILS(CDB_SCRIPT, "instructions", open_with("while true do end"));
  FAILS(CDB_SCRIPT, "a b c", open_with("error('a\\nb\\rc', 0)"));
  FAILS(CDB_SCRIPT, "", open_with("error(string.rep('\\xC3\\xA4', 5000), 0)"));
  CHECK(strlen(err.message) > 500 && (err.message[strlen(err.message) - 1] & 0xFF) == 0xA4);
  FAILS(CDB_USAGE, "mine", open_with("require('collegedb.errors').raise('USAGE', nil, 'mine')"));
  FAILS(CDB_UNAVAILABLE, "no/such", open_with("return { kv = 'memory:', shards = { a = 'no/such/a.db' } }"));
  FAILS(CDB_CORRUPT, "config.lua",
        open_with("return { kv = 'memory:', shards = { a = 'config.lua' } } --" CDB_VERSION));
  FAILS(CDB_SCRIPT, "table", open_with("return setmetatable({}, { __pairs = function() error {} end })"));
}

static void check_keys(cdb *db) {
  static const char zeros[600];
  char shard[64];
  cdb_rows *rows;
  cdb_value bad[] = {null(),
                     real(1),
                     blob("a", 1),
                     {.type = 5},
                     {.type = -1},
                     {.type = 1 << 30},
                     text(""),
                     text_n(zeros, 513),
                     text_n(zeros, SIZE_MAX),
                     text_n(NULL, 3)};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    FAILS(CDB_USAGE, "key", cdb_query(db, &bad[i], "SELECT 1", NULL, 0, &rows, &err));
    FAILS(CDB_USAGE, "key", cdb_locate(db, &bad[i], shard, sizeof shard, &err));
  }
  const cdb_value number = integer(7);
  FAILS(CDB_USAGE, "db:key", cdb_query(db, &number, "SELECT 1", NULL, 0, &rows, &err));
  const cdb_value longest = text_n(zeros, 512); /* bytes are bytes */
  CHECK(cdb_query(db, &longest, "SELECT 1", NULL, 0, &rows, &err) == CDB_OK);
  cdb_rows_close(rows);
  CHECK(cdb_locate(db, &longest, shard, sizeof shard, &err) == CDB_OK && strncmp(shard, "db-", 3) == 0);
  FAILS(CDB_TOO_LARGE, "8 bytes", cdb_locate(db, &longest, shard, 7, &err));
  FAILS(CDB_TOO_LARGE, "8 bytes", cdb_locate(db, &longest, shard, 0, &err));
  CHECK(cdb_locate(db, &longest, shard, 8, &err) == CDB_OK);
}

static void check_integer_keys(cdb *db) {
  char before[64], after[64];
  cdb_rows *rows;
  for (int64_t i = -3; i < 30; i++) {
    const cdb_value params[] = {i == 29 ? integer(INT64_MIN) : integer(i)};
    CHECK(cdb_locate(db, params, before, sizeof before, &err) == CDB_OK);
    CHECK(cdb_query(db, params, "INSERT INTO n (id, v) VALUES (?, 'x')", params, 1, &rows, &err) == CDB_OK);
    CHECK(cdb_rows_next(rows, &err) == 0 && cdb_rows_changes(rows) == 1 && cdb_rows_columns(rows) == 0);
    cdb_rows_close(rows);
    CHECK(cdb_locate(db, params, after, sizeof after, &err) == CDB_OK && strcmp(before, after) == 0);
    CHECK(cdb_query(db, params, "SELECT id FROM n WHERE id = ?", params, 1, &rows, &err) == CDB_OK);
    CHECK(cdb_rows_next(rows, &err) == 1 && same(cdb_rows_value(rows, 0), params[0]));
    cdb_rows_close(rows);
  }
  run(db, "k", "CREATE TABLE n2 (id INTEGER PRIMARY KEY)");
  FAILS(CDB_USAGE, "n2",
        cdb_locate(db, &(cdb_value){.type = CDB_INTEGER, .i = 7}, before, sizeof before, &err));
  run(db, "k", "DROP TABLE n2");
  CHECK(cdb_locate(db, &(cdb_value){.type = CDB_INTEGER, .i = 7}, before, sizeof before, &err) == CDB_OK);
}

static void check_params(cdb *db) {
  const cdb_value key = text("params");
  cdb_rows *rows;
  cdb_value one = null();
  const double minus_zero = -0.0;
  cdb_value good[] = {null(),          integer(INT64_MIN),  integer(INT64_MAX), real(1),
                      real(0.1),       real(INFINITY),      real(minus_zero),   text(""),
                      text_n(NULL, 0), text_n("a\0b\0", 4), text("\xFF\xC3"),   blob("", 0),
                      blob(NULL, 0),   blob("\0\1\xFF", 3)};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    CHECK(cdb_query(db, &key, "SELECT ?1, typeof(?1)", &good[i], 1, &rows, &err) == CDB_OK);
    CHECK(cdb_rows_next(rows, &err) == 1);
    if (!same(cdb_rows_value(rows, 0), good[i]))
      printf("parameter %zu came back as type %d\n", i, cdb_rows_value(rows, 0).type);
    CHECK(same(cdb_rows_value(rows, 0), good[i]));
    CHECK(cdb_rows_next(rows, &err) == 0);
    cdb_rows_close(rows);
  }
  one = real(NAN);
  FAILS(CDB_USAGE, "NaN", cdb_query(db, &key, "SELECT ?", &one, 1, &rows, &err));
  one = (cdb_value){.type = 9};
  FAILS(CDB_USAGE, "parameter 1", cdb_query(db, &key, "SELECT ?", &one, 1, &rows, &err));
  one = text_n(NULL, 1);
  FAILS(CDB_USAGE, "NULL", cdb_query(db, &key, "SELECT ?", &one, 1, &rows, &err));
  one = blob("", SIZE_MAX);
  FAILS(CDB_TOO_LARGE, "bytes", cdb_query(db, &key, "SELECT ?", &one, 1, &rows, &err));
  FAILS(CDB_USAGE, "more than", cdb_query(db, &key, "SELECT ?", good, SIZE_MAX, &rows, &err));
  FAILS(CDB_USAGE, "takes 1", cdb_query(db, &key, "SELECT ?", NULL, 0, &rows, &err));
  FAILS(CDB_USAGE, "superfluous", cdb_query(db, &key, "SELECT ?", good, 2, &rows, &err));
  FAILS(CDB_USAGE, "missing", cdb_query(db, &key, "SELECT ?, ?", good + 1, 1, &rows, &err));
  FAILS(CDB_USAGE, "superfluous", cdb_query(db, &key, "SELECT 1", good, 1, &rows, &err));
}

static void check_statements(cdb *db) {
  FAILS(CDB_USAGE, "no statement", failing(db, "k", ""));
  FAILS(CDB_USAGE, "no statement", failing(db, "k", " -- nothing\n ;"));
  FAILS(CDB_USAGE, "one statement", failing(db, "k", "SELECT 1; SELECT 2"));
  FAILS(CDB_USAGE, "BEGIN", failing(db, "k", "BEGIN"));
  FAILS(CDB_USAGE, "ATTACH", failing(db, "k", "ATTACH 'x.db' AS x"));
  FAILS(CDB_SQL, "syntax", failing(db, "k", "SELEC 1"));
  FAILS(CDB_SQL, "no such table", failing(db, "k", "SELECT * FROM nowhere"));
  CHECK(strstr(err.message, "(shard db-") != NULL);
  FAILS(CDB_SQL, "overflow", failing(db, "k", "SELECT abs(-9223372036854775807 - 1)"));
}

static void check_rows(cdb *db) {
  run(db, "r", "DELETE FROM t");
  CHECK(run(db, "r", "INSERT INTO t (id, v) VALUES ('a', 1), ('b', 2), ('c', NULL)") == 3);
  cdb_rows *rows = query(db, "r", "SELECT id, v, v AS v, 1.5 FROM t ORDER BY id");
  CHECK(cdb_rows_columns(rows) == 4 && strcmp(cdb_rows_name(rows, 2), "v") == 0);
  CHECK(cdb_rows_name(rows, 4) == NULL && cdb_rows_name(rows, SIZE_MAX) == NULL);
  CHECK(same(cdb_rows_value(rows, 0), null())); /* before the first row */
  CHECK(cdb_rows_next(rows, &err) == 1 && same(cdb_rows_value(rows, 0), text("a")));
  CHECK(same(cdb_rows_value(rows, 4), null()) && same(cdb_rows_value(rows, SIZE_MAX), null()));
  const cdb_value first = cdb_rows_value(rows, 0);
  run(db, "other", "SELECT 1");
  CHECK(run(db, "r", "UPDATE t SET v = v") == 3); /* a write while rows are read */
  CHECK(same(first, text("a")) && ((const char *)first.data)[1] == '\0');
  CHECK(cdb_rows_next(rows, &err) == 1 && cdb_rows_next(rows, NULL) == 1 &&
        same(cdb_rows_value(rows, 1), null()));
  CHECK(same(cdb_rows_value(rows, 3), real(1.5)));
  for (int i = 0; i < 3; i++) CHECK(cdb_rows_next(rows, &err) == 0);
  CHECK(same(cdb_rows_value(rows, 0), null()) && cdb_rows_changes(rows) == 0);
  CHECK(cdb_rows_columns(rows) == 4 && strcmp(cdb_rows_name(rows, 0), "id") == 0);
  cdb_rows_close(rows);

  rows = query(db, "r", "SELECT v FROM t WHERE 0");
  CHECK(cdb_rows_columns(rows) == 1 && cdb_rows_next(rows, &err) == 0);
  cdb_rows_close(rows);
}

static void check_failing_rows(cdb *db) {
  cdb_rows *rows = query(db, "r", "SELECT abs(column1) FROM (VALUES (1), (-9223372036854775807 - 1), (3))");
  CHECK(cdb_rows_next(rows, &err) == 1);
  for (int i = 0; i < 3; i++) FAILS(CDB_SQL, "overflow", cdb_rows_next(rows, &err));
  CHECK(cdb_rows_next(rows, NULL) == CDB_SQL && same(cdb_rows_value(rows, 0), null()));
  cdb_rows_close(rows);
}

static void check_many_rows(cdb *db) {
  enum { MANY = 300 }; /* more than the statements that a shard keeps */
  cdb_rows *all[MANY];
  for (int i = 0; i < MANY; i++) {
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT id, %d FROM t ORDER BY id", i % 250);
    all[i] = query(db, i % 2 ? "r" : "s", sql);
  }
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < MANY; i++) {
      const int code = cdb_rows_next(all[i], &err);
      CHECK(code >= 0 && (code == 0 || same(cdb_rows_value(all[i], 1), integer(i % 250))));
    }
  for (int i = 0; i < MANY; i += 3) cdb_rows_close(all[i]);
  for (int i = MANY; i-- > 0;)
    if (i % 3) cdb_rows_close(all[i]);
}

static void check_returning(cdb *db) {
  int count;
  run(db, "w", "DELETE FROM t");
  CHECK(run_n(db, "w", "INSERT INTO t (id, v) VALUES ('x', 1), ('y', 2) RETURNING id", NULL, 0, &count) == 2);
  CHECK(count == 2);
  cdb_rows *rows = query(db, "w", "UPDATE t SET v = v + 1 RETURNING v");
  CHECK(cdb_rows_changes(rows) == 0 && cdb_rows_next(rows, &err) == 1);
  cdb_rows_close(rows); /* closed before its end, it is done all the same */
  rows = query(db, "w", "DELETE FROM t RETURNING id");
  cdb_rows_close(rows);
  run_n(db, "w", "SELECT 1 FROM t", NULL, 0, &count);
  CHECK(count == 0);
  CHECK(run(db, "w", "DELETE FROM t") == 0);
  FAILS(CDB_CONSTRAINT, "UNIQUE", failing(db, "w", "INSERT INTO t (id) VALUES ('z'), ('z') RETURNING id"));
}

static void check_schema_change(cdb *db) {
  const char *select = "SELECT * FROM s";
  run(db, "s", "CREATE TABLE s (id TEXT PRIMARY KEY, a)");
  run(db, "s", "INSERT INTO s VALUES ('s', 1)");
  cdb_rows *rows = query(db, "s", select);
  CHECK(cdb_rows_columns(rows) == 2 && cdb_rows_next(rows, &err) == 1);
  FAILS(CDB_BUSY, "", failing(db, "s", "DROP TABLE s"));
  cdb_rows_close(rows);
  run(db, "s", "ALTER TABLE s ADD COLUMN b DEFAULT 'new'");
  rows = query(db, "s", select);
  CHECK(cdb_rows_columns(rows) == 3 && strcmp(cdb_rows_name(rows, 2), "b") == 0);
  CHECK(cdb_rows_next(rows, &err) == 1 && same(cdb_rows_value(rows, 2), text("new")));
  cdb_rows_close(rows);
  run(db, "s", "DROP TABLE s");
}

static void check_two_routers(cdb *db) {
  cdb *other = opened(CONFIG);
  cdb_rows *rows = query(db, "w", "INSERT INTO t (id) VALUES ('m'), ('n') RETURNING id");
  FAILS(CDB_BUSY, "", failing(other, "w", "DELETE FROM t"));
  CHECK(cdb_rows_next(rows, &err) == 1 && cdb_rows_next(rows, &err) == 1 && cdb_rows_next(rows, &err) == 0);
  CHECK(cdb_rows_changes(rows) == 2);
  CHECK(run(other, "w", "DELETE FROM t") == 2);
  cdb_rows_close(rows);
  cdb_close(other);
}

static void check_checked_keys(void) {
  cdb *db = opened("return { kv = 'memory:', check_keys = true, shards = { a = ':memory:' } }");
  int count;
  run(db, "k", "CREATE TABLE t (id TEXT PRIMARY KEY, v)");
  CHECK(run(db, "k", "INSERT INTO t VALUES ('k', 1)") == 1);
  FAILS(CDB_USAGE, "check_keys", failing(db, "k", "INSERT INTO t VALUES ('l', 1)"));
  CHECK(run_n(db, "k", "UPDATE t SET v = x'00' WHERE id = 'k' RETURNING v", NULL, 0, &count) == 1);
  CHECK(count == 1 && run_n(db, "k", "SELECT * FROM t", NULL, 0, &count) == 0 && count == 1);
  cdb_close(db);
}

static void check_scripts(void) {
  cdb *db =
      opened("return { kv = 'memory:', shards = { a = ':memory:', b = ':memory:' },\n"
             "  strategy = function(key) if key == 'bad' then error { 'no text' } end return 'b' end }");
  char shard[8];
  const cdb_value good = text("good"), bad = text("bad");
  CHECK(cdb_locate(db, &good, shard, sizeof shard, &err) == CDB_OK && strcmp(shard, "b") == 0);
  FAILS(CDB_SCRIPT, "strategy", cdb_locate(db, &bad, shard, sizeof shard, &err));
  CHECK(shard[0] == '\0');
  cdb_close(db);
}

/* Rows outlive their router; what they answer then. */
static void check_closing(cdb *db) {
  cdb_rows *fresh = query(db, "r", "SELECT 1"), *read = query(db, "r", "SELECT 1 UNION SELECT 2"),
           *ended = query(db, "r", "SELECT 1 AS one WHERE 0"), *written = query(db, "r", "DELETE FROM t"),
           *closed = query(db, "r", "SELECT 1");
  CHECK(cdb_rows_next(read, &err) == 1);
  cdb_rows_close(closed);
  cdb_close(db);
  FAILS(CDB_CLOSED, "closed", cdb_rows_next(fresh, &err));
  FAILS(CDB_CLOSED, "closed", cdb_rows_next(read, &err));
  FAILS(CDB_CLOSED, "closed", cdb_rows_next(read, &err));
  CHECK(same(cdb_rows_value(read, 0), null()) && cdb_rows_columns(read) == 1);
  CHECK(cdb_rows_next(ended, &err) == 0 && strcmp(cdb_rows_name(ended, 0), "one") == 0);
  CHECK(cdb_rows_next(written, NULL) == 0 && cdb_rows_changes(written) >= 0);
  cdb_rows_close(read);
  cdb_rows_close(written);
  cdb_rows_close(fresh);
  cdb_rows_close(ended);
}

/* A router in each of several threads, over the same files. */
static void *work_in_thread(void *context) {
  const cdb_value key = {.type = CDB_TEXT, .data = context, .size = strlen(context)};
  cdb_error mine = {0};
  cdb *db;
  int64_t changes = 0;
  int code = cdb_open(&db, "threads.lua", &mine);
  for (int i = 0; i < 40 && code == CDB_OK; i++) {
    const cdb_value params[] = {key, {.type = CDB_INTEGER, .i = i}};
    cdb_rows *rows;
    code = cdb_query(db, &key, "INSERT INTO t (id, v) VALUES (?1 || ?2, ?2) RETURNING v", params, 2, &rows,
                     &mine);
    while (code == CDB_OK && (code = cdb_rows_next(rows, &mine)) == 1) code = CDB_OK;
    changes += cdb_rows_changes(rows);
    cdb_rows_close(rows);
  }
  cdb_close(db);
  if (code == CDB_OK && changes == 40) return NULL;
  printf("%s: %d %s, %lld changes\n", (char *)context, code, mine.message, (long long)changes);
  return context;
}

static void check_threads(void) {
  static const char *const names[] = {"one", "two", "three", "four"};
  pthread_t threads[4];
  config("return { kv = 'dir.db', shards = { { name = 'db-east', 'east.db', synchronous = 'off' },"
         "{ name = 'db-west', 'west.db', synchronous = 'off' } } }");
  CHECK(rename("config.lua", "threads.lua") == 0);
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, work_in_thread, (void *)names[i]) == 0);
  for (int i = 0; i < 4; i++) {
    void *failed;
    CHECK(pthread_join(threads[i], &failed) == 0 && failed == NULL);
  }
}

int main(void) {
  CHECK(strcmp(cdb_code_name(CDB_BUSY), "BUSY") == 0 && strcmp(cdb_code_name(-999), "UNKNOWN") == 0);
  check_configs();
  cdb *db = opened(CONFIG);
  check_null_arguments(db);
  check_keys(db);
  check_integer_keys(db);
  check_params(db);
  check_statements(db);
  check_rows(db);
  check_failing_rows(db);
  check_many_rows(db);
  check_returning(db);
  check_schema_change(db);
  check_two_routers(db);
  check_closing(db);
  check_checked_keys();
  check_scripts();
  check_threads();
  return finish();
}
