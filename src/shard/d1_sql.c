#include "shard/d1_sql.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- tokens ---------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 128;
}

static bool is_name(char c) { return is_name_start(c) || is_digit(c) || c == '$'; }

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Where a string or quoted name ends that begins at `at`; a doubled mark stands for itself. */
static size_t end_of_quoted(const char *sql, size_t size, size_t at, char mark) {
  for (size_t i = at + 1; i < size; i++) {
    if (sql[i] != mark) continue;
    if (i + 1 < size && sql[i + 1] == mark && mark != ']') i++;
    else return i + 1;
  }
  return size;
}

static size_t end_of_comment(const char *sql, size_t size, size_t at) {
  const bool line = sql[at] == '-';
  for (size_t i = at + 2; i < size; i++) {
    if (line && sql[i] == '\n') return i;
    if (!line && sql[i] == '*' && i + 1 < size && sql[i + 1] == '/') return i + 2;
  }
  return size;
}

static bool begins_comment(const char *sql, size_t size, size_t at) {
  if (at + 1 >= size) return false;
  return (sql[at] == '-' && sql[at + 1] == '-') || (sql[at] == '/' && sql[at + 1] == '*' && at + 2 < size);
}

static size_t end_while(const char *sql, size_t size, size_t at, bool (*fits)(char)) {
  while (at < size && fits(sql[at])) at++;
  return at;
}

/* As in SQLite: a byte-order mark is space wherever a token may start, and a vertical tab only behind space.
 */
static bool begins_mark(const char *sql, size_t size, size_t at) {
  return size - at >= 3 && memcmp(sql + at, "\xEF\xBB\xBF", 3) == 0;
}

static size_t skip_space(const char *sql, size_t size, size_t at) {
  while (at < size) {
    if (is_space(sql[at]) && sql[at] != '\v') at = end_while(sql, size, at, is_space);
    else if (begins_comment(sql, size, at)) at = end_of_comment(sql, size, at);
    else if (begins_mark(sql, size, at)) at += 3;
    else break;
  }
  return at;
}

static bool is_number(char c) { return is_name(c) || c == '.'; }

static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/* Behind hexadecimal digits a name may follow at once. */
static size_t end_of_number(const char *sql, size_t size, size_t at) {
  const bool hex = size - at > 2 && sql[at] == '0' && (sql[at + 1] | 32) == 'x' && is_hex(sql[at + 2]);
  return hex ? end_while(sql, size, at + 2, is_hex) : end_while(sql, size, at, is_number);
}

/* Of a parameter with a name, as SQLite has it: Tcl's `$a::b(c)` is one too. `at` if it is none. */
static size_t end_of_parameter(const char *sql, size_t size, size_t at) {
  size_t i = at + 1;
  bool named = false;
  for (; i < size; i++) {
    const bool colons = sql[i] == ':' && i + 1 < size && sql[i + 1] == ':';
    if (!colons && !is_name(sql[i])) break;
    if (colons) i++;
    else named = true;
  }
  if (!named || i == size || sql[i] != '(') return named ? i : at;
  while (i < size && sql[i] != ')' && !is_space(sql[i])) i++;
  return i < size && sql[i] == ')' ? i + 1 : at;
}

/* The token that begins at `at`. */
static cdb__d1_token scan(const char *sql, size_t size, size_t at) {
  const char c = sql[at];
  if (c == '\'') return (cdb__d1_token){CDB__D1_OTHER, at, end_of_quoted(sql, size, at, c), 0};
  if (c == '"' || c == '`') return (cdb__d1_token){CDB__D1_QUOTED, at, end_of_quoted(sql, size, at, c), 0};
  if (c == '[') return (cdb__d1_token){CDB__D1_QUOTED, at, end_of_quoted(sql, size, at, ']'), 0};
  if (c == '?') return (cdb__d1_token){CDB__D1_PARAMETER, at, end_while(sql, size, at + 1, is_digit), 0};
  if (memchr(":@$#", c, 4) && end_of_parameter(sql, size, at) > at)
    return (cdb__d1_token){CDB__D1_PARAMETER, at, end_of_parameter(sql, size, at), 0};
  if (is_name_start(c)) return (cdb__d1_token){CDB__D1_NAME, at, end_while(sql, size, at, is_name), 0};
  if (is_digit(c)) return (cdb__d1_token){CDB__D1_OTHER, at, end_of_number(sql, size, at), 0};
  return (cdb__d1_token){CDB__D1_SIGN, at, at + 1, 0};
}

bool cdb__d1_is_word(const cdb__d1_sql *sql, size_t i, const char *word) {
  const cdb__d1_token *t = &sql->tokens[i];
  return i < sql->count && t->kind == CDB__D1_NAME && t->to - t->from == strlen(word) &&
         strncasecmp(sql->sql + t->from, word, t->to - t->from) == 0;
}

bool cdb__d1_is_sign(const cdb__d1_sql *sql, size_t i, char sign) {
  return i < sql->count && sql->tokens[i].kind == CDB__D1_SIGN && sql->sql[sql->tokens[i].from] == sign;
}

/* What is put around a statement must not meet a semicolon. */
static size_t skip_semicolons(const char *sql, size_t size) {
  size_t at = skip_space(sql, size, 0);
  while (at < size && sql[at] == ';') at = skip_space(sql, size, at + 1);
  return at;
}

static int read_tokens(cdb__d1_sql *out, size_t size, cdb__fault *fault) {
  size_t room = 0;
  out->start = skip_semicolons(out->sql, size);
  for (size_t at = out->start; at < size; at = skip_space(out->sql, size, at)) {
    if (out->count == room) {
      room = room ? 2 * room : 32;
      cdb__d1_token *more = realloc(out->tokens, room * sizeof *more);
      if (!more) return cdb__fail(fault, CDB_NOMEM, "no memory for a statement of %zu bytes", size);
      out->tokens = more;
    }
    out->tokens[out->count] = scan(out->sql, size, at);
    at = out->tokens[out->count++].to;
  }
  while (out->count && cdb__d1_is_sign(out, out->count - 1, ';')) out->count--;
  out->stop = out->count ? out->tokens[out->count - 1].to : 0;
  return CDB_OK;
}

/* --- parameters, numbered as SQLite does (www.sqlite.org/lang_expr.html#varparam) -------- */

enum { MOST_PARAMETERS = 32766 };

static bool token_is(const cdb__d1_sql *sql, const cdb__d1_token *token, const char *text) {
  return text && strlen(text) == token->to - token->from &&
         memcmp(sql->sql + token->from, text, token->to - token->from) == 0;
}

static int number_of(const cdb__d1_sql *sql, const cdb__d1_token *token) {
  const char *text = sql->sql + token->from;
  if (text[0] == '?') {
    if (token->to - token->from == 1) return sql->parameters + 1;
    const long number = strtol(text + 1, NULL, 10);
    return number >= 1 && number <= MOST_PARAMETERS ? (int)number : -1;
  }
  for (int i = 0; i < sql->parameters; i++)
    if (token_is(sql, token, sql->names[i])) return i + 1;
  return sql->parameters + 1;
}

static bool add_parameter(cdb__d1_sql *sql, int number) {
  char **names = realloc(sql->names, (size_t)number * sizeof *names);
  if (!names) return false;
  sql->names = names;
  while (sql->parameters < number) names[sql->parameters++] = NULL;
  return true;
}

static int number_parameters(cdb__d1_sql *sql, cdb__fault *fault) {
  /* The arguments of a virtual table are its module's to read. */
  if (sql->kind == CDB__SQL_SCHEMA && cdb__d1_is_word(sql, 1, "VIRTUAL")) return CDB_OK;
  for (size_t i = 0; i < sql->count; i++) {
    cdb__d1_token *token = &sql->tokens[i];
    const size_t size = token->to - token->from;
    if (token->kind != CDB__D1_PARAMETER) continue;
    token->number = number_of(sql, token);
    if (token->number < 1 || token->number > MOST_PARAMETERS)
      return cdb__fail(fault, CDB_SQL, "the parameter %.*s is out of range", (int)(size < 40 ? size : 40),
                       sql->sql + token->from);
    bool fits = token->number <= sql->parameters || add_parameter(sql, token->number);
    if (fits && size > 1 && !sql->names[token->number - 1]) {
      sql->names[token->number - 1] = strndup(sql->sql + token->from, size);
      fits = sql->names[token->number - 1] != NULL;
    }
    if (!fits) return cdb__fail(fault, CDB_NOMEM, "no memory for the parameters of a statement");
  }
  return CDB_OK;
}

/* --- what a statement is ---------------------------------------------------------------- */

/* The word RETURNING outside of all brackets, and whether a `*` stands by itself behind it. */
static void find_returning(cdb__d1_sql *sql) {
  int depth = 0;
  for (size_t i = 1; i < sql->count; i++) {
    depth += cdb__d1_is_sign(sql, i, '(') - cdb__d1_is_sign(sql, i, ')');
    if (depth == 0 && cdb__d1_is_word(sql, i, "RETURNING")) sql->returning = i;
    const bool begins = sql->returning && (i - 1 == sql->returning || cdb__d1_is_sign(sql, i - 1, ','));
    if (depth == 0 && begins && cdb__d1_is_sign(sql, i, '*')) sql->all = true;
  }
}

int cdb__d1_sql_read(cdb__d1_sql *out, const char *sql, size_t size, cdb__fault *fault) {
  *out = (cdb__d1_sql){.sql = sql};
  cdb__sql_info info;
  cdb__sql_scan(sql, size, &info);
  out->kind = info.kind;
  if (info.table &&
      cdb__sql_name(info.table, info.table_size, out->table, sizeof out->table) >= sizeof out->table)
    out->table[0] = '\0';
  int code = read_tokens(out, size, fault);
  if (code == CDB_OK) code = number_parameters(out, fault);
  if (code != CDB_OK) {
    cdb__d1_sql_free(out);
    return code;
  }
  out->reads = info.kind == CDB__SQL_SELECT;
  if (info.kind == CDB__SQL_INSERT || info.kind == CDB__SQL_UPDATE || info.kind == CDB__SQL_DELETE)
    find_returning(out);
  return CDB_OK;
}

void cdb__d1_sql_free(cdb__d1_sql *sql) {
  for (int i = 0; i < sql->parameters; i++) free(sql->names[i]);
  free(sql->names);
  free(sql->tokens);
  *sql = (cdb__d1_sql){0};
}
