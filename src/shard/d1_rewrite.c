/* Rewrites what d1_sql.c has read; see d1_sql.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/d1_sql.h"

/* --- values on their way there ----------------------------------------------------------- */

/* A real as a whole number, and what to multiply it by: SQLite reads decimal digits as a real that may be off
 * by the last bit, while whole numbers and powers of two are exact. */
static int64_t scaled(double value, int *exponent) {
  double mantissa = frexp(value, exponent);
  *exponent -= 53;
  return (int64_t)ldexp(mantissa, 53);
}

static bool is_hex(const cdb_value *value) {
  return value->type == CDB_BLOB ||
         (value->type == CDB_TEXT && !cdb__text_is_plain(value->data, value->size));
}

static void add_value(cdb__text *out, const cdb_value *value) {
  int exponent;
  if (is_hex(value)) {
    cdb__text_puts(out, "\"");
    cdb__text_hex(out, value->data, value->size);
    cdb__text_puts(out, "\"");
    return;
  }
  switch (value->type) {
    case CDB_INTEGER: cdb__text_printf(out, "%lld", (long long)value->i); return;
    case CDB_TEXT: cdb__text_json(out, value->data, value->size); return;
    case CDB_REAL:
      if (isinf(value->d)) cdb__text_puts(out, value->d > 0 ? "9e999" : "-9e999");
      else cdb__text_printf(out, "%lld", (long long)scaled(value->d, &exponent));
      return;
    default: cdb__text_puts(out, "null");
  }
}

void cdb__d1_values(cdb__text *out, const cdb_value *values, int count) {
  cdb__text_puts(out, "[");
  for (int i = 0; i < count; i++) {
    if (i) cdb__text_puts(out, ",");
    add_value(out, &values[i]);
  }
  cdb__text_puts(out, "]");
}

/* The whole number times a power of two. What is smaller than the smallest normal real is rounded in no step
 * but the last, where nothing is left to round. */
static void add_real(cdb__text *out, int number, double value) {
  int exponent;
  scaled(value, &exponent);
  const char sign = exponent > 0 ? '*' : '/';
  cdb__text_printf(out, "(json_extract(?1,'$[%d]')*1.0", number);
  for (exponent = abs(exponent); exponent >= 62; exponent -= 62) cdb__text_printf(out, "%c(1<<62)", sign);
  if (exponent) cdb__text_printf(out, "%c(1<<%d)", sign, exponent);
  cdb__text_puts(out, ")");
}

/* How SQL reads the value back. A bare parameter has no affinity, and neither have these. */
static void add_expression(cdb__text *out, int number, const cdb_value *value) {
  const bool hex = is_hex(value);
  if (value->type == CDB_REAL && !isinf(value->d)) add_real(out, number, value->d);
  else if (hex && value->type == CDB_TEXT)
    cdb__text_printf(out, "(+CAST(unhex(json_extract(?1,'$[%d]')) AS TEXT))", number);
  else if (hex) cdb__text_printf(out, "unhex(json_extract(?1,'$[%d]'))", number);
  else cdb__text_printf(out, "json_extract(?1,'$[%d]')", number);
}

/* The bytes from `from` to `to`, with expressions for the parameters. */
static void add_part(cdb__text *out, const cdb__d1_sql *sql, const cdb_value *values, size_t from,
                     size_t to) {
  for (size_t i = 0; i < sql->count; i++) {
    const cdb__d1_token *token = &sql->tokens[i];
    if (token->number == 0 || token->from < from || token->from >= to) continue;
    cdb__text_add(out, sql->sql + from, token->from - from);
    if (i && token[-1].kind == CDB__D1_NAME && token[-1].to == token->from)
      cdb__text_puts(out, " "); /* as in `LIMIT?` */
    add_expression(out, token->number - 1, &values[token->number - 1]);
    from = token->to;
  }
  if (to > from) cdb__text_add(out, sql->sql + from, to - from);
}

void cdb__d1_plain(cdb__text *out, const cdb__d1_sql *sql, const cdb_value *values) {
  add_part(out, sql, values, sql->start, sql->stop);
}

/* --- columns on their way back ------------------------------------------------------------ */

static void add_quoted(cdb__text *out, const char *name) {
  for (const char *c = name; *c; c++) {
    if (*c == '`') cdb__text_puts(out, "`");
    cdb__text_add(out, c, 1);
  }
}

/* A name that can not be taken for a string when there is no such column. */
static void add_name(cdb__text *out, const char *name) {
  cdb__text_puts(out, "`");
  add_quoted(out, name);
  cdb__text_puts(out, "`");
}

/* The name of a column that is returned; with its number, from 1, if that is not 0. */
static void add_returned_name(cdb__text *out, const char *name, int number) {
  cdb__text_puts(out, "`");
  if (number) cdb__text_printf(out, "c%d ", number);
  add_quoted(out, name);
  cdb__text_puts(out, "`");
}

const char *cdb__d1_unnumbered(const char *name) {
  const char *space = strchr(name, ' ');
  return space ? space + 1 : name;
}

/* `x` in the form stands for the expression. A real comes as the number that it is: a number's way through
 * JavaScript is exact for reals, and SQLite's own way of writing them is not. Text that is not plain ASCII
 * comes as its bytes, since JavaScript replaces what is no UTF-8. Only infinity times 0 is NULL. */
static void add_encoded(cdb__text *out, const char *expression, size_t size) {
  static const char form[] = "CASE typeof(\1) WHEN 'integer' THEN 'i'||(\1) "
                             "WHEN 'real' THEN CASE WHEN (\1)*0.0 IS NULL THEN CASE WHEN (\1)>0 THEN 'r+' "
                             "ELSE 'r-' END ELSE (\1) END "
                             "WHEN 'text' THEN CASE WHEN (\1) GLOB '*[^'||char(1)||'-'||char(127)||']*' OR "
                             "instr(CAST(\1 AS BLOB),x'00') "
                             "THEN 'h'||hex(\1) ELSE 't'||(\1) END "
                             "WHEN 'blob' THEN 'b'||hex(\1) END";
  for (const char *from = form, *at; *from; from = at + (*at != '\0')) {
    at = from + strcspn(from, "\1");
    cdb__text_add(out, from, (size_t)(at - from));
    if (*at) cdb__text_add(out, expression, size);
  }
}

/* Do all names differ for SQLite? */
static bool all_differ(char *const *names, int count) {
  for (int i = 1; i < count; i++)
    for (int k = 0; k < i; k++)
      if (strcasecmp(names[i], names[k]) == 0) return false;
  return true;
}

/* One more table, with columns c1, c2 …, of those of the statement: in their order, or by their names. */
static void add_table(cdb__text *out, const char *name, char *const *columns, int count, bool named) {
  cdb__text_printf(out, ", %s(", name);
  for (int i = 1; i <= count; i++) cdb__text_printf(out, "%sc%d", i > 1 ? "," : "", i);
  cdb__text_puts(out, ") AS (SELECT ");
  if (!named) cdb__text_puts(out, "*");
  for (int i = 0; named && i < count; i++) {
    if (i) cdb__text_puts(out, ",");
    add_name(out, columns[i]);
  }
  cdb__text_puts(out, " FROM _collegedb_q)");
}

/* The columns are taken by their names, since their order may be another by now; by their order where names
 * are not enough. In both cases it is looked at the other way whether they are still these. */
void cdb__d1_encoded(cdb__text *out, const cdb__text *statement, char *const *columns, int count, int limit) {
  char name[16];
  const bool named = all_differ(columns, count);
  cdb__text_puts(out, "WITH _collegedb_q AS MATERIALIZED (");
  cdb__text_add(out, statement->data, statement->size);
  cdb__text_puts(out, "\n)");
  add_table(out, "_collegedb_p", columns, count, named);
  add_table(out, "_collegedb_c", columns, count, !named);
  cdb__text_puts(out, " SELECT ");
  for (int i = 1; i <= count; i++) {
    if (i > 1) cdb__text_puts(out, ",");
    add_encoded(out, name, (size_t)snprintf(name, sizeof name, "c%d", i));
    cdb__text_printf(out, " AS c%d", i);
  }
  cdb__text_puts(out, " FROM _collegedb_p WHERE NOT EXISTS (SELECT 1 FROM _collegedb_c LIMIT 0)");
  if (limit) cdb__text_printf(out, " LIMIT %d", limit);
}

static bool is_one_of(const cdb__d1_sql *sql, size_t i, const char *const *words) {
  while (*words && !cdb__d1_is_word(sql, i, *words)) words++;
  return *words != NULL;
}

static bool is_string(const cdb__d1_sql *sql, size_t i) {
  return sql->tokens[i].kind == CDB__D1_OTHER && sql->sql[sql->tokens[i].from] == '\'';
}

/* Can the token be a name that follows an expression without AS? The string of x'00' is none. */
static bool is_bare_alias(const cdb__d1_sql *sql, size_t i) {
  static const char *const ends[] = {"END", "ISNULL", "NOTNULL", "NULL", NULL};
  const cdb__d1_token *t = &sql->tokens[i];
  if (is_string(sql, i)) return !(cdb__d1_is_word(sql, i - 1, "X") && t[-1].to == t->from);
  return t->kind == CDB__D1_QUOTED || (t->kind == CDB__D1_NAME && !is_one_of(sql, i, ends));
}

/* Can an expression end with the token? */
static bool ends_expression(const cdb__d1_sql *sql, size_t i) {
  static const char *const operators[] = {"AND",   "OR",     "NOT",    "IS",      "IN",      "LIKE", "GLOB",
                                          "MATCH", "REGEXP", "ESCAPE", "COLLATE", "BETWEEN", "FROM", NULL};
  const cdb__d1_kind kind = sql->tokens[i].kind;
  return kind == CDB__D1_SIGN ? cdb__d1_is_sign(sql, i, ')')
                              : kind != CDB__D1_NAME || !is_one_of(sql, i, operators);
}

/* Does the last of these tokens name the expression before it? `*end` is where that ends. */
static bool has_alias(const cdb__d1_sql *sql, size_t first, size_t last, size_t *end) {
  const size_t name = last - 1;
  *end = last;
  if (name < first + 1) return false;
  const bool as = name > first + 1 && cdb__d1_is_word(sql, name - 1, "AS");
  if (!as && !(is_bare_alias(sql, name) && ends_expression(sql, name - 1))) return false;
  *end = as ? name - 1 : name;
  return true;
}

static void add_token(cdb__text *out, const cdb__d1_sql *sql, size_t i) {
  cdb__text_add(out, sql->sql + sql->tokens[i].from, sql->tokens[i].to - sql->tokens[i].from);
}

/* What a column is called by its tokens from `first` up to, not including, `last`: by an alias, by the text
 * of its expression, or as the column that it is. */
static void add_column_name(cdb__text *out, const cdb__d1_sql *sql, size_t first, size_t last, bool alias,
                            int number) {
  if (!alias && first + 3 == last && cdb__d1_is_sign(sql, first + 1, '.')) first += 2;
  if (alias) first = last - 1;
  const char *text = sql->sql + sql->tokens[first].from;
  const size_t size = sql->tokens[last - 1].to - sql->tokens[first].from;
  const bool quoted =
      first + 1 == last && (sql->tokens[first].kind == CDB__D1_QUOTED || (alias && is_string(sql, first)));
  char *name = malloc(size + 1);
  if (!name) out->failed = true;
  else if (quoted) cdb__sql_name(text, size, name, size + 1);
  else snprintf(name, size + 1, "%.*s", (int)size, text);
  if (name) add_returned_name(out, name, number);
  free(name);
}

/* One expression behind RETURNING: its tokens from `first` up to, not including, `last`. */
static void add_returned(cdb__text *out, const cdb__d1_sql *sql, const cdb_value *values, size_t first,
                         size_t last, int number) {
  cdb__text expression = {0};
  size_t end;
  const bool alias = has_alias(sql, first, last, &end);
  const size_t from = sql->tokens[first].from, to = sql->tokens[end - 1].to;
  cdb__text_puts(&expression, "(");
  add_part(&expression, sql, values, from, to);
  cdb__text_puts(&expression, ")");
  if (expression.failed) out->failed = true;
  else add_encoded(out, expression.data, expression.size);
  cdb__text_free(&expression);
  cdb__text_puts(out, " AS ");
  if (alias && !number) add_token(out, sql, last - 1);
  else add_column_name(out, sql, first, last, alias, number);
}

/* `number` is the first one's, or 0. */
static void add_columns(cdb__text *out, char *const *columns, int count, int number) {
  for (int i = 0; i < count; i++) {
    cdb__text name = {0};
    add_name(&name, columns[i]);
    if (i) cdb__text_puts(out, ",");
    if (name.failed) out->failed = true;
    else add_encoded(out, name.data, name.size);
    cdb__text_puts(out, " AS ");
    add_returned_name(out, columns[i], number ? number + i : 0);
    cdb__text_free(&name);
  }
}

void cdb__d1_returning(cdb__text *out, const cdb__d1_sql *sql, const cdb_value *values, char *const *columns,
                       int count, bool numbered) {
  add_part(out, sql, values, sql->start, sql->tokens[sql->returning].to);
  cdb__text_puts(out, " ");
  int depth = 0, number = numbered ? 1 : 0;
  size_t first = sql->returning + 1;
  for (size_t i = first; i <= sql->count; i++) {
    if (i < sql->count) depth += cdb__d1_is_sign(sql, i, '(') - cdb__d1_is_sign(sql, i, ')');
    if (i < sql->count && (depth > 0 || !cdb__d1_is_sign(sql, i, ','))) continue;
    if (first > sql->returning + 1) cdb__text_puts(out, ",");
    const bool all = cdb__d1_is_sign(sql, first, '*');
    if (all) add_columns(out, columns, count, number);
    else if (first < i) add_returned(out, sql, values, first, i, number);
    number += !numbered ? 0 : all ? count : 1;
    first = i + 1;
  }
}

/* --- pages ---------------------------------------------------------------------------------- */

/* Where the parts of SELECT … FROM table [[AS] alias] [WHERE …] are, as positions of tokens. */
typedef struct {
  size_t from, table, named, where; /* `named`: the token that the table is called by; `where`: 0 is none */
} select_parts;

static bool is_any_name(const cdb__d1_sql *sql, size_t i) {
  return i < sql->count && (sql->tokens[i].kind == CDB__D1_NAME || sql->tokens[i].kind == CDB__D1_QUOTED);
}

/* What is not to be in such a statement, outside of brackets. */
static bool is_hindrance(const cdb__d1_sql *sql, size_t i) {
  static const char *const words[] = {"DISTINCT", "ALL",     "JOIN",   "GROUP",     "ORDER",
                                      "LIMIT",    "UNION",   "EXCEPT", "INTERSECT", "HAVING",
                                      "WINDOW",   "INDEXED", "OVER"};
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    if (cdb__d1_is_word(sql, i, words[k])) return true;
  return false;
}

/* Brackets in the list of columns could be those of a function over all rows. */
static bool find_select_parts(const cdb__d1_sql *sql, select_parts *out) {
  int depth = 0;
  *out = (select_parts){0};
  if (sql->kind != CDB__SQL_SELECT || !cdb__d1_is_word(sql, 0, "SELECT")) return false;
  for (size_t i = 1; i < sql->count; i++) {
    depth += cdb__d1_is_sign(sql, i, '(') - cdb__d1_is_sign(sql, i, ')');
    if (!out->from && depth > 0) return false;
    if (depth > 0) continue;
    if (is_hindrance(sql, i) || (out->from && !out->where && cdb__d1_is_sign(sql, i, ','))) return false;
    if (!out->from && cdb__d1_is_word(sql, i, "FROM")) out->from = i;
    else if (!out->where && cdb__d1_is_word(sql, i, "WHERE")) out->where = i;
  }
  if (!out->from || !is_any_name(sql, out->from + 1)) return false;
  out->table = out->named = out->from + 1;
  const size_t end = out->where ? out->where : sql->count;
  if (out->table + 1 == end) return true;
  out->named = end - 1;
  const bool as = out->table + 3 == end && cdb__d1_is_word(sql, out->table + 1, "AS");
  return (as || out->table + 2 == end) && is_any_name(sql, out->named);
}

bool cdb__d1_has_pages(const cdb__d1_sql *sql) {
  select_parts parts;
  return find_select_parts(sql, &parts);
}

bool cdb__d1_takes_limit(const cdb__d1_sql *sql) {
  int depth = 0;
  bool selects = false;
  for (size_t i = 0; i < sql->count; i++) {
    depth += cdb__d1_is_sign(sql, i, '(') - cdb__d1_is_sign(sql, i, ')');
    if (depth > 0) continue;
    if (cdb__d1_is_word(sql, i, "LIMIT") || cdb__d1_is_word(sql, i, "VALUES")) return false;
    selects = selects || cdb__d1_is_word(sql, i, "SELECT");
  }
  return sql->reads && selects;
}

void cdb__d1_page(cdb__text *out, const cdb__d1_sql *sql, const cdb_value *values, bool first, int64_t after,
                  int rows) {
  select_parts parts;
  if (!find_select_parts(sql, &parts)) return;
  const size_t end = parts.where ? sql->tokens[parts.where].from : sql->stop;
  add_part(out, sql, values, sql->start, sql->tokens[parts.from].from);
  /* A column of the table's own may have that name. */
  cdb__text_puts(out, ", CASE WHEN EXISTS (SELECT 1 FROM pragma_table_xinfo('");
  for (const char *c = sql->table; *c; c++) cdb__text_add(out, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
  cdb__text_puts(out, "') WHERE name = '_rowid_' COLLATE NOCASE) THEN NULL ELSE ");
  add_token(out, sql, parts.named);
  cdb__text_puts(out, "._rowid_ END AS _collegedb_row ");
  cdb__text_add(out, sql->sql + sql->tokens[parts.from].from, end - sql->tokens[parts.from].from);
  if (parts.where) {
    cdb__text_puts(out, " WHERE (");
    add_part(out, sql, values, sql->tokens[parts.where].to, sql->stop);
    cdb__text_puts(out, "\n)");
  }
  if (!first) {
    cdb__text_puts(out, parts.where ? " AND " : " WHERE ");
    add_token(out, sql, parts.named);
    cdb__text_printf(out, "._rowid_ > %lld", (long long)after);
  }
  cdb__text_puts(out, " ORDER BY ");
  add_token(out, sql, parts.named);
  cdb__text_printf(out, "._rowid_ LIMIT %d", rows);
}
