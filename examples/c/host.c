/* A program in C that uses CollegeDB: opens a config, inserts, reads back, and
 * shows an error.
 *
 * From the source tree, after `make`:
 *
 *   cc -o host -Iinclude examples/c/host.c build/libcollegedb.a \
 *      $(pkg-config --libs lua5.4 sqlite3 nettle) -lm -pthread
 *
 * After `make install`:
 *
 *   cc -o host $(pkg-config --cflags collegedb) examples/c/host.c $(pkg-config --libs collegedb)
 *
 * and then, in the folder where the shards' files are to be:
 *
 *   ./host …/examples/c/config.lua
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <collegedb.h>

static cdb_value text(const char *s) { return (cdb_value){.type = CDB_TEXT, .data = s, .size = strlen(s)}; }
static cdb_value integer(int64_t i) { return (cdb_value){.type = CDB_INTEGER, .i = i}; }
static cdb_value blob(const void *data, size_t size) {
  return (cdb_value){.type = CDB_BLOB, .data = data, .size = size};
}

static void print_value(cdb_value value) {
  switch (value.type) {
    case CDB_INTEGER: printf("%" PRId64, value.i); break;
    case CDB_REAL: printf("%.17g", value.d); break;
    case CDB_TEXT: fwrite(value.data, 1, value.size, stdout); break;
    case CDB_BLOB: printf("%zu bytes", value.size); break;
    default: printf("NULL");
  }
}

static int print_row(const cdb_rows *rows) {
  for (size_t i = 0; i < cdb_rows_columns(rows); i++) {
    printf("%s%s = ", i ? ", " : "", cdb_rows_name(rows, i));
    print_value(cdb_rows_value(rows, i));
  }
  return printf("\n");
}

/* Runs a statement and prints its rows. 0 or the error's code. */
static int run(cdb *db, const char *key, const char *sql, const cdb_value *params, size_t count,
               cdb_error *err) {
  const cdb_value k = text(key);
  cdb_rows *rows;
  int code = cdb_query(db, &k, sql, params, count, &rows, err);
  if (code != CDB_OK) return code;
  while ((code = cdb_rows_next(rows, err)) == 1) print_row(rows);
  if (code == CDB_OK && cdb_rows_changes(rows))
    printf("%s: %" PRId64 " row changed\n", key, cdb_rows_changes(rows));
  cdb_rows_close(rows);
  return code;
}

static int insert(cdb *db, const char *id, const char *name, int64_t age, cdb_error *err) {
  const cdb_value params[] = {text(id), text(name), integer(age), blob("\0\1\2", 3)};
  return run(db, id, "INSERT INTO users (id, name, age, photo) VALUES (?, ?, ?, ?)", params, 4, err);
}

static int show(cdb *db, const char *id, cdb_error *err) {
  const cdb_value key = text(id);
  char shard[128];
  const int code = cdb_locate(db, &key, shard, sizeof shard, err);
  if (code != CDB_OK) return code;
  printf("%s is on %s\n", id, shard);
  return run(db, id, "SELECT * FROM users WHERE id = ?", &key, 1, err);
}

static int work(cdb *db, cdb_error *err) {
  static const char *const ids[] = {"ada", "grace", "edsger", "barbara"};
  static const char *const names[] = {"Ada Lovelace", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov"};
  int code = CDB_OK;
  for (size_t i = 0; i < 4 && code == CDB_OK; i++) {
    const cdb_value id = text(ids[i]);
    code = run(db, ids[i], "DELETE FROM users WHERE id = ?", &id, 1, err);
    if (code == CDB_OK) code = insert(db, ids[i], names[i], 36 + (int64_t)i, err);
    if (code == CDB_OK) code = show(db, ids[i], err);
  }
  if (code != CDB_OK) return code;
  code = insert(db, "ada", "again", 1, err);
  printf("a second ada: %s: %s\n", cdb_code_name(code), err->message);
  return code == CDB_CONSTRAINT ? CDB_OK : code;
}

int main(int argc, char **argv) {
  cdb_error err;
  cdb *db;
  if (argc != 2) {
    fprintf(stderr, "usage: host CONFIG.lua\n");
    return 2;
  }
  int code = cdb_open(&db, argv[1], &err);
  if (code == CDB_OK) code = work(db, &err);
  if (code != CDB_OK) fprintf(stderr, "host: %s: %s\n", cdb_code_name(code), err.message);
  cdb_close(db); /* NULL if it was not opened */
  return code == CDB_OK ? 0 : 1;
}
