/* The SQLite shard: the statements of shard.h. */
#define SQLITE_ENABLE_PREUPDATE_HOOK /* the prototype; the library is asked for it at build time */
#include "shard/sqlite_shard.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAL_INDEX_REGION = 32768, WAL_INDEX_FORMAT = 3007000 }; /* as SQLite maps it, and what it is then */

typedef struct {
  cdb__stmt base;
  sqlite3_stmt *handle;
  int64_t changes_before;
} sqlite_stmt;

static cdb__sqlite_shard *shard_of(cdb__shard *shard) { return (cdb__sqlite_shard *)shard; }
static sqlite_stmt *stmt_of(cdb__stmt *stmt) { return (sqlite_stmt *)stmt; }

/* --- failures ------------------------------------------------------------ */

static int code_of(int sqlite_code) {
  if (sqlite_code == SQLITE_IOERR_NOMEM) return CDB_NOMEM;
  switch (sqlite_code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return CDB_BUSY;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return CDB_CONSTRAINT;
    case SQLITE_READONLY: return CDB_READONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return CDB_CORRUPT;
    case SQLITE_FULL: return CDB_FULL;
    case SQLITE_TOOBIG: return CDB_TOO_LARGE;
    case SQLITE_NOMEM: return CDB_NOMEM;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
    case SQLITE_PERM: return CDB_UNAVAILABLE;
    case SQLITE_AUTH: /* of may_run */
    case SQLITE_RANGE: return CDB_USAGE;
    default: return CDB_SQL;
  }
}

int cdb__sqlite_fail(const cdb__sqlite_shard *shard, int sqlite_code, cdb__fault *fault) {
  const char *message = sqlite3_errmsg(shard->db);
  /* What the triggers of lua/collegedb/fence.lua say. */
  const bool moved = sqlite3_extended_errcode(shard->db) == SQLITE_CONSTRAINT_TRIGGER &&
                     strcmp(message, "collegedb:moved") == 0;
  const int code = moved ? CDB_MOVED : code_of(sqlite_code);
  if (moved) cdb__fail(fault, code, "the key was moved to another shard, or is on its way");
  else if ((sqlite_code & 0xff) == SQLITE_AUTH)
    cdb__fail(fault, code,
              "ATTACH, DETACH, VACUUM INTO and PRAGMA temp_store_directory are not allowed on a shard: "
              "a statement reaches no file but its shard's");
  else if (code == CDB_UNAVAILABLE || code == CDB_CORRUPT || code == CDB_READONLY)
    cdb__fail(fault, code, "%s: %s", shard->path, message);
  else if (code == CDB_BUSY) cdb__fail(fault, code, "%s (another connection holds it)", message);
  else cdb__fail(fault, code, "%s", message);
  fault->sqlite_code = sqlite3_extended_errcode(shard->db);
  return code;
}

/* --- statements ---------------------------------------------------------- */

static int stmt_prepare(cdb__shard *base, const char *sql, size_t size, cdb__stmt **out, cdb__fault *fault) {
  cdb__sqlite_shard *shard = shard_of(base);
  if (size > INT32_MAX) return cdb__fail(fault, CDB_TOO_LARGE, "a statement of %zu bytes", size);
  sqlite_stmt *stmt = malloc(sizeof *stmt);
  if (!stmt) return cdb__fail(fault, CDB_NOMEM, "no memory for a statement");
  int code = cdb__stmt_init(&stmt->base, base, sql, size, fault);
  if (code != CDB_OK) {
    free(stmt);
    return code;
  }
  const int rc =
      sqlite3_prepare_v3(shard->db, sql, (int)size, SQLITE_PREPARE_PERSISTENT, &stmt->handle, NULL);
  if (rc != SQLITE_OK) code = cdb__sqlite_fail(shard, rc, fault);
  else if (!stmt->handle) code = cdb__fail(fault, CDB_USAGE, "the SQL text holds no statement");
  if (code != CDB_OK) {
    cdb__stmt_fini(&stmt->base);
    free(stmt);
    return code;
  }
  stmt->base.readonly = sqlite3_stmt_readonly(stmt->handle) != 0;
  stmt->base.parameters = sqlite3_bind_parameter_count(stmt->handle);
  stmt->base.columns = sqlite3_column_count(stmt->handle);
  *out = &stmt->base;
  return CDB_OK;
}

static int stmt_bind(cdb__stmt *base, int index, const cdb_value *value, cdb__fault *fault) {
  sqlite3_stmt *handle = stmt_of(base)->handle;
  int rc = SQLITE_OK;
  switch (value->type) {
    case CDB_NULL: rc = sqlite3_bind_null(handle, index); break;
    case CDB_INTEGER: rc = sqlite3_bind_int64(handle, index, value->i); break;
    case CDB_REAL: rc = sqlite3_bind_double(handle, index, value->d); break;
    case CDB_TEXT:
      rc = sqlite3_bind_text64(handle, index, value->data, value->size, SQLITE_STATIC, SQLITE_UTF8);
      break;
    default: /* a NULL pointer would bind NULL, not the empty blob */
      rc = value->size ? sqlite3_bind_blob64(handle, index, value->data, value->size, SQLITE_STATIC)
                       : sqlite3_bind_zeroblob(handle, index, 0);
  }
  return rc == SQLITE_OK ? CDB_OK : cdb__sqlite_fail(shard_of(base->shard), rc, fault);
}

/* A schema change makes SQLite prepare anew inside step, and the columns may differ. */
static void follow_schema(sqlite_stmt *stmt) {
  const int prepared = sqlite3_stmt_status(stmt->handle, SQLITE_STMTSTATUS_REPREPARE, 0);
  if (prepared == stmt->base.prepared) return;
  stmt->base.prepared = prepared;
  stmt->base.columns = sqlite3_column_count(stmt->handle);
}

static int stmt_step(cdb__stmt *base, cdb__fault *fault) {
  sqlite_stmt *stmt = stmt_of(base);
  cdb__sqlite_shard *shard = shard_of(base->shard);
  if (!base->readonly && !sqlite3_stmt_busy(stmt->handle))
    stmt->changes_before = sqlite3_total_changes64(shard->db);
  const int rc = sqlite3_step(stmt->handle);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return cdb__sqlite_fail(shard, rc, fault);
  follow_schema(stmt);
  return rc == SQLITE_ROW ? CDB__ROW : CDB__DONE;
}

static int stmt_reset(cdb__stmt *base, cdb__fault *fault) {
  const int rc = sqlite3_reset(stmt_of(base)->handle);
  return rc == SQLITE_OK ? CDB_OK : cdb__sqlite_fail(shard_of(base->shard), rc, fault);
}

static const char *stmt_column_name(cdb__stmt *stmt, int column) {
  const char *name = sqlite3_column_name(stmt_of(stmt)->handle, column);
  return name ? name : "";
}

/* One look at the column instead of three. SQLite calls such a value
 * unprotected, which makes no difference on a connection without a mutex
 * (https://www.sqlite.org/c3ref/value.html). */
static void stmt_value(cdb__stmt *base, int column, cdb_value *out) {
  sqlite3_value *value = sqlite3_column_value(stmt_of(base)->handle, column);
  switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
      out->type = CDB_INTEGER;
      out->i = sqlite3_value_int64(value);
      return;
    case SQLITE_FLOAT:
      out->type = CDB_REAL;
      out->d = sqlite3_value_double(value);
      return;
    case SQLITE_TEXT:
      out->type = CDB_TEXT;
      out->data = sqlite3_value_text(value);
      break;
    case SQLITE_BLOB:
      out->type = CDB_BLOB;
      out->data = sqlite3_value_blob(value);
      break;
    default: out->type = CDB_NULL; return;
  }
  out->size = (size_t)sqlite3_value_bytes(value);
  if (!out->data) { /* an empty blob, or no memory to make the value */
    if (out->type == CDB_TEXT || out->size) {
      out->type = CDB__LOST;
      sqlite3_column_type(stmt_of(base)->handle,
                          column); /* makes the statement fail, not the connection's next */
    }
    out->data = "";
    out->size = 0;
  }
}

static const char *stmt_parameter_name(cdb__stmt *stmt, int index) {
  return sqlite3_bind_parameter_name(stmt_of(stmt)->handle, index);
}

/* total_changes would count rows that triggers changed too, and changes() keeps
 * its old value through statements that change none: so each guards the other. */
static int64_t stmt_changes(cdb__stmt *base) {
  const sqlite_stmt *stmt = stmt_of(base);
  sqlite3 *db = shard_of(base->shard)->db;
  if (base->readonly || sqlite3_total_changes64(db) == stmt->changes_before) return 0;
  return sqlite3_changes64(db);
}

static int64_t stmt_last_row_id(cdb__stmt *stmt) {
  return sqlite3_last_insert_rowid(shard_of(stmt->shard)->db);
}

static void stmt_finalize(cdb__stmt *base) {
  sqlite3_finalize(stmt_of(base)->handle);
  cdb__stmt_fini(base);
  free(base);
}

/* --- the connection ------------------------------------------------------ */

static int shard_exec(cdb__shard *base, const char *script, cdb__fault *fault) {
  cdb__sqlite_shard *shard = shard_of(base);
  shard->journal = JOURNAL_UNKNOWN; /* a script may change it */
  shard->wal_index = NULL;
  const int rc = sqlite3_exec(shard->db, script, NULL, NULL, NULL);
  return rc == SQLITE_OK ? CDB_OK : cdb__sqlite_fail(shard, rc, fault);
}

int cdb__sqlite_query_int64(cdb__sqlite_shard *shard, const char *sql, int64_t *out, cdb__fault *fault) {
  sqlite3_stmt *handle = NULL;
  int rc = sqlite3_prepare_v2(shard->db, sql, -1, &handle, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(handle);
  if (rc == SQLITE_ROW) *out = sqlite3_column_int64(handle, 0);
  const int code = rc == SQLITE_ROW || rc == SQLITE_DONE ? CDB_OK : cdb__sqlite_fail(shard, rc, fault);
  sqlite3_finalize(handle);
  return code;
}

static int shard_size(cdb__shard *base, int64_t *bytes, cdb__fault *fault) {
  return cdb__sqlite_query_int64(
      shard_of(base), "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", bytes, fault);
}

static bool shard_in_transaction(cdb__shard *base) { return !sqlite3_get_autocommit(shard_of(base)->db); }

/* The pager's number tells of other connections' commits, as of the last
 * transaction of this one; our own writes are counted beside it. */
static uint64_t shard_stamp(cdb__shard *base) {
  sqlite3 *db = shard_of(base)->db;
  unsigned version = 0;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_DATA_VERSION, &version) != SQLITE_OK) return 0;
  return ((uint64_t)version << 40) + (uint64_t)sqlite3_total_changes64(db) + 1;
}

static bool is_wal(cdb__sqlite_shard *shard) {
  sqlite3_stmt *handle = NULL;
  bool wal = sqlite3_prepare_v2(shard->db, "PRAGMA journal_mode", -1, &handle, NULL) == SQLITE_OK &&
             sqlite3_step(handle) == SQLITE_ROW &&
             strcmp((const char *)sqlite3_column_text(handle, 0), "wal") == 0;
  sqlite3_finalize(handle);
  return wal;
}

/* Memory that all who have the file open share, and that begins with two copies of the WAL index's header.
 * Every commit ends with writing that header, and every read transaction begins with comparing it
 * (https://www.sqlite.org/walformat.html#the_wal_index_header). It stays where it is until this connection
 * leaves WAL mode, which nobody else can make it do, or is closed. */
static const volatile uint64_t *wal_index_of(sqlite3 *db) {
  sqlite3_file *file = NULL;
  volatile void *index = NULL;
  if (sqlite3_file_control(db, NULL, SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file) return NULL;
  if (!file->pMethods || file->pMethods->iVersion < 2) return NULL;
  return file->pMethods->xShmMap(file, 0, WAL_INDEX_REGION, 0, &index) == SQLITE_OK ? index : NULL;
}

static bool shard_is_still(const cdb__shard *base, const cdb__version *version) {
  const cdb__sqlite_shard *shard = (const cdb__sqlite_shard *)base;
  const volatile uint64_t *index = shard->wal_index;
  /* What a transaction has written is not in the header before its end. */
  if (!index || !sqlite3_get_autocommit(shard->db)) return false;
  uint64_t differs = 0;
  for (int i = 0; i < CDB__VERSION_WORDS; i++) differs |= version->words[i] ^ index[i];
  atomic_thread_fence(memory_order_seq_cst);
  for (int i = 0; i < CDB__VERSION_WORDS; i++) differs |= version->words[i] ^ index[CDB__VERSION_WORDS + i];
  return !differs; /* while it is being written, the two copies differ */
}

static bool shard_version(cdb__shard *base, cdb__version *out) {
  cdb__sqlite_shard *shard = shard_of(base);
  if (shard->journal == JOURNAL_UNKNOWN) {
    shard->journal = is_wal(shard) ? JOURNAL_WAL : JOURNAL_OTHER;
    if (shard->journal == JOURNAL_WAL) shard->wal_index = wal_index_of(shard->db);
  }
  if (!shard->wal_index || sqlite3_txn_state(shard->db, NULL) != SQLITE_TXN_NONE) return false;
  for (int i = 0; i < CDB__VERSION_WORDS; i++) out->words[i] = shard->wal_index[i];
  uint32_t format;
  memcpy(&format, out->words, sizeof format);
  return format == WAL_INDEX_FORMAT && shard_is_still(base, out);
}

static bool shard_moved(cdb__shard *base) {
  int moved = 0;
  sqlite3_file_control(shard_of(base)->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return moved != 0;
}

static const char *shard_collation(cdb__shard *base, const char *table, const char *column) {
  const char *name = "BINARY";
  sqlite3 *db = shard_of(base)->db;
  const int rc = sqlite3_table_column_metadata(db, "main", table, column, NULL, &name, NULL, NULL, NULL);
  return rc == SQLITE_NOMEM ? NULL : name;
}

static void shard_close(cdb__shard *base) {
  cdb__sqlite_shard *shard = shard_of(base);
  cdb__shard_forget_statements(base);
  sqlite3_finalize(shard->undo);
  sqlite3_close_v2(shard->db);
  free(shard->path);
  free(shard);
}

/* --- transactions -------------------------------------------------------- */

static int shard_begin(cdb__shard *base, const char *sql, cdb__fault *fault) {
  cdb__sqlite_shard *shard = shard_of(base);
  if (shard->undo) return shard_exec(base, sql, fault);
  const int rc = sqlite3_prepare_v3(shard->db, "ROLLBACK", -1, SQLITE_PREPARE_PERSISTENT, &shard->undo, NULL);
  return rc == SQLITE_OK ? shard_exec(base, sql, fault) : cdb__sqlite_fail(shard, rc, fault);
}

static const cdb__shard_ops stuck_ops;

/* Also true where there is nothing to undo: an error may have rolled the transaction back by itself. */
static bool undo(cdb__sqlite_shard *shard, const char *savepoint) {
  cdb__fault ignored;
  char sql[128];
  if (sqlite3_get_autocommit(shard->db)) return true;
  if (savepoint) snprintf(sql, sizeof sql, "ROLLBACK TO %s; RELEASE %s", savepoint, savepoint);
  if (savepoint && shard_exec(&shard->base, sql, &ignored) == CDB_OK) return true;
  if (shard->undo) sqlite3_step(shard->undo);
  sqlite3_finalize(shard->undo); /* a schema that was rolled back makes it useless */
  shard->undo = NULL;
  if (!sqlite3_get_autocommit(shard->db)) shard_exec(&shard->base, "ROLLBACK", &ignored);
  return sqlite3_get_autocommit(shard->db);
}

static void shard_undo(cdb__shard *base, const char *savepoint) {
  base->ops = undo(shard_of(base), savepoint) ? &cdb__sqlite_ops : &stuck_ops;
}

/* A transaction that was to be undone is still there, because memory is short: it goes before anything else
 * is done. */
static int leave(cdb__shard *base, cdb__fault *fault) {
  shard_undo(base, NULL);
  if (sqlite3_get_autocommit(shard_of(base)->db)) return CDB_OK;
  return cdb__fail(fault, CDB_NOMEM, "no memory to undo what was done before");
}

static int stuck_prepare(cdb__shard *base, const char *sql, size_t size, cdb__stmt **out, cdb__fault *fault) {
  const int code = leave(base, fault);
  return code == CDB_OK ? stmt_prepare(base, sql, size, out, fault) : code;
}

static int stuck_exec(cdb__shard *base, const char *script, cdb__fault *fault) {
  const int code = leave(base, fault);
  return code == CDB_OK ? shard_exec(base, script, fault) : code;
}

static int stuck_begin(cdb__shard *base, const char *sql, cdb__fault *fault) {
  const int code = leave(base, fault);
  return code == CDB_OK ? shard_begin(base, sql, fault) : code;
}

static int stuck_step(cdb__stmt *stmt, cdb__fault *fault) {
  const int code = leave(stmt->shard, fault);
  return code == CDB_OK ? stmt_step(stmt, fault) : code;
}

static bool stuck_in_transaction(cdb__shard *base) {
  (void)base;
  return false;
}

#define OPS(which_prepare, which_exec, which_in_transaction, which_begin, which_step)                       \
  {                                                                                                         \
    .kind = "sqlite", .prepare = which_prepare, .exec = which_exec, .size = shard_size,                     \
    .in_transaction = which_in_transaction, .begin = which_begin, .undo = shard_undo, .stamp = shard_stamp, \
    .version = shard_version, .is_still = shard_is_still, .moved = shard_moved,                             \
    .collation = shard_collation, .close = shard_close, .bind = stmt_bind, .step = which_step,              \
    .reset = stmt_reset, .column_name = stmt_column_name, .value = stmt_value,                              \
    .parameter_name = stmt_parameter_name, .changes = stmt_changes, .last_row_id = stmt_last_row_id,        \
    .finalize = stmt_finalize                                                                               \
  }

const cdb__shard_ops cdb__sqlite_ops =
    OPS(stmt_prepare, shard_exec, shard_in_transaction, shard_begin, stmt_step);
static const cdb__shard_ops stuck_ops =
    OPS(stuck_prepare, stuck_exec, stuck_in_transaction, stuck_begin, stuck_step);

void cdb__sqlite_interrupt(cdb__shard *base) { sqlite3_interrupt(shard_of(base)->db); }

static void on_preupdate(void *context, sqlite3 *db, int operation, const char *schema, const char *table,
                         sqlite3_int64 old_rowid, sqlite3_int64 new_rowid) {
  const cdb__sqlite_shard *shard = context;
  (void)schema;
  shard->watcher(shard->watcher_context, db, operation, table, old_rowid, new_rowid);
}

void cdb__sqlite_watch(cdb__shard *base, cdb__sqlite_watcher watcher, void *context) {
  cdb__sqlite_shard *shard = shard_of(base);
  shard->watcher = watcher;
  shard->watcher_context = context;
  sqlite3_preupdate_hook(shard->db, watcher ? on_preupdate : NULL, shard);
}
