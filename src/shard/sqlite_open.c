/* Opening a file as a shard, with the settings it needs. Nothing is written into a file that existed before,
 * and its journal mode stays as it was. */
#include "core/clock.h"
#include "shard/sqlite_shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "./" in front keeps a path that begins with "file:" from being read as a URI. */
static char *plain_path(const char *path) {
  const bool special = path[0] == '/' || !*path || strcmp(path, ":memory:") == 0;
  const size_t size = strlen(path) + 3;
  char *copy = malloc(size);
  if (copy) snprintf(copy, size, "%s%s", special ? "" : "./", path);
  return copy;
}

/* Switching to WAL wants the file for itself and does not always wait as other
 * statements do: two processes that create one file at once meet here. */
static int set_journal_mode(cdb__sqlite_shard *shard, const char *mode, int wait_ms, cdb__fault *fault) {
  char sql[64];
  snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", mode);
  const int64_t end = cdb__clock_ticks() + (int64_t)wait_ms * 1000000;
  for (;;) {
    const int code = shard->base.ops->exec(&shard->base, sql, fault);
    if (code != CDB_BUSY || cdb__clock_ticks() >= end) return code;
    sqlite3_sleep(5);
  }
}

/* developers.cloudflare.com/d1/platform/limits; the depth of expressions and the terms of a compound SELECT
 * are those of its engine. D1's 100 parameters are no limit of ours: they travel as one. */
static void set_d1_limits(sqlite3 *db) {
  static const struct {
    int limit, value;
  } limits[] = {{SQLITE_LIMIT_SQL_LENGTH, 100000},
                {SQLITE_LIMIT_LENGTH, 2000000},
                {SQLITE_LIMIT_COLUMN, 100},
                {SQLITE_LIMIT_EXPR_DEPTH, 100},
                {SQLITE_LIMIT_COMPOUND_SELECT, 5},
                {SQLITE_LIMIT_FUNCTION_ARG, 32},
                {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50}};
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    sqlite3_limit(db, limits[i].limit, limits[i].value);
}

/* No statement reaches another file, however it is written. VACUUM attaches a file without a name. */
static int may_run(void *context, int action, const char *first, const char *second, const char *schema,
                   const char *trigger) {
  (void)context, (void)second, (void)schema, (void)trigger;
  switch (action) {
    case SQLITE_ATTACH: return first && !*first ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_DETACH: return SQLITE_DENY;
    case SQLITE_PRAGMA: return sqlite3_stricmp(first, "temp_store_directory") == 0 ? SQLITE_DENY : SQLITE_OK;
    default: return SQLITE_OK;
  }
}

/* A file may come from elsewhere, and so may a part of a statement. */
static void harden(sqlite3 *db) {
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0, NULL); /* it takes an address from SQL */
  sqlite3_set_authorizer(db, may_run, NULL);
}

static int configure(cdb__sqlite_shard *shard, const cdb__sqlite_options *options, bool is_new,
                     cdb__fault *fault) {
  sqlite3 *db = shard->db;
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, options->busy_timeout_ms);
  harden(db);
  int64_t ignored;
  int code = cdb__sqlite_query_int64(shard, "SELECT count(*) FROM sqlite_schema", &ignored, fault);
  const char *mode = options->read_only      ? NULL
                     : options->journal_mode ? options->journal_mode
                     : is_new                ? "WAL"
                                             : NULL;
  if (code == CDB_OK && mode) code = set_journal_mode(shard, mode, options->busy_timeout_ms, fault);
  char sql[160];
  snprintf(sql, sizeof sql, "PRAGMA synchronous = %s; PRAGMA mmap_size = %lld",
           options->synchronous ? options->synchronous : "FULL", (long long)options->mmap_size);
  if (code == CDB_OK) code = shard->base.ops->exec(&shard->base, sql, fault);
  snprintf(sql, sizeof sql, "PRAGMA cache_size = %lld", (long long)options->cache_size);
  if (code == CDB_OK && options->cache_size) code = shard->base.ops->exec(&shard->base, sql, fault);
  if (options->d1_limits) set_d1_limits(db);
  return code;
}

/* SQLite says only "unable to open database file"; say which of the usual reasons it was, or the system's. */
static int explain_cannot_open(const char *path, int reason, cdb__fault *fault) {
  struct stat info;
  char folder[4096];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (slash) *(slash == folder ? slash + 1 : slash) = '\0';
  const int sqlite_code = fault->sqlite_code;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
    cdb__fail(fault, CDB_UNAVAILABLE, "%s is a directory, not a database file", path);
  else if (slash && stat(folder, &info) != 0)
    cdb__fail(fault, CDB_UNAVAILABLE, "%s can not be opened: the directory %s does not exist", path, folder);
  else
    cdb__fail(fault, CDB_UNAVAILABLE, "%s can not be opened: check that it exists and its permissions%s%s",
              path, reason ? "; the system says: " : "", reason ? strerror(reason) : "");
  fault->sqlite_code = sqlite_code;
  return CDB_UNAVAILABLE;
}

/* NULL when memory is short. */
static char *immutable_uri(const char *path) {
  static const char scheme[] = "file:", last[] = "?immutable=1";
  char *uri = malloc(strlen(path) * 3 + sizeof scheme + sizeof last), *out = uri;
  if (!uri) return NULL;
  while (path[0] == '/' && path[1] == '/') path++; /* a host's name would follow */
  out += sprintf(out, "%s", scheme);
  for (const char *c = path; *c; c++)
    if (strchr("%?#", *c)) out += sprintf(out, "%%%02X", (unsigned)*c);
    else *out++ = *c;
  memcpy(out, last, sizeof last);
  return uri;
}

static bool has_wal(const char *path) {
  char beside[4096];
  struct stat info;
  snprintf(beside, sizeof beside, "%s-wal", path);
  return stat(beside, &info) == 0;
}

/* By its header (https://www.sqlite.org/fileformat2.html#file_format_version_numbers). */
static bool reads_wal(sqlite3 *db) {
  sqlite3_file *file = NULL;
  unsigned char version = 0;
  if (sqlite3_file_control(db, NULL, SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file) return false;
  return file->pMethods && file->pMethods->xRead(file, &version, 1, 19) == SQLITE_OK && version == 2;
}

/* Who may not write reads a file in WAL mode only where another program has it open; where none has, nothing
 * changes it. In other modes the file itself is written, behind locks. */
static int open_to_read(cdb__sqlite_shard *shard) {
  const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
  if (has_wal(shard->path)) return sqlite3_open_v2(shard->path, &shard->db, flags, NULL);
  char *uri = immutable_uri(shard->path);
  if (!uri) return SQLITE_NOMEM;
  const int rc = sqlite3_open_v2(uri, &shard->db, flags | SQLITE_OPEN_URI, NULL);
  free(uri);
  if (rc != SQLITE_OK || reads_wal(shard->db)) return rc;
  sqlite3_close_v2(shard->db);
  return sqlite3_open_v2(shard->path, &shard->db, flags, NULL);
}

static int open_file(cdb__sqlite_shard *shard, int flags, const cdb__sqlite_options *options, bool is_new,
                     cdb__fault *fault) {
  const int rc =
      options->read_only ? open_to_read(shard) : sqlite3_open_v2(shard->path, &shard->db, flags, NULL);
  return rc == SQLITE_OK ? configure(shard, options, is_new, fault) : cdb__sqlite_fail(shard, rc, fault);
}

int cdb__sqlite_open(cdb__shard **out, const char *path, const cdb__sqlite_options *options,
                     cdb__fault *fault) {
  cdb__sqlite_shard *shard = calloc(1, sizeof *shard);
  if (!shard) return cdb__fail(fault, CDB_NOMEM, "no memory for a shard");
  cdb__shard_init(&shard->base, &cdb__sqlite_ops);
  shard->base.single = options->single;
  shard->path = plain_path(path);
  if (!shard->path) {
    free(shard);
    return cdb__fail(fault, CDB_NOMEM, "no memory for a path");
  }
  struct stat info;
  const bool is_new = stat(shard->path, &info) != 0 || info.st_size == 0;
  const int flags =
      SQLITE_OPEN_READWRITE | (options->must_exist ? 0 : SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX;
  int code = open_file(shard, flags, options, is_new, fault);
  /* A program that ends removes the files beside the database, and may be seen doing so. */
  for (int tries = 0; code == CDB_UNAVAILABLE && tries < 20 && access(shard->path, R_OK | W_OK) == 0;
       tries++) {
    sqlite3_close_v2(shard->db);
    shard->db = NULL;
    sqlite3_sleep(5);
    code = open_file(shard, flags, options, is_new, fault);
  }
  if (code == CDB_UNAVAILABLE)
    code = explain_cannot_open(shard->path, shard->db ? sqlite3_system_errno(shard->db) : 0, fault);
  if (code != CDB_OK) {
    shard->base.ops->close(&shard->base);
    return code;
  }
  *out = &shard->base;
  return CDB_OK;
}
