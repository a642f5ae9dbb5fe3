/* Reads one SQL text far enough to route it: kind, main table, first end.
 * Three layers: a lexer that cuts tokens where SQLite's does, helpers that see
 * a parenthesised group as one token, and a search for the first real table
 * that follows only FROM clauses, subqueries in them, and CTEs.
 *
 * Invariants: a lexer never reads at or past its `end`. SQLite stops at a NUL,
 * so the text ends there too, and anything unseen behind it counts as a second
 * statement. Recursion ends at MAX_DEPTH, and a CTE's body is entered once, so
 * time is linear in the text. Nothing is owned; names point into the text. */
#include "core/scanner.h"

#include <string.h>

enum { MAX_CTES = 64, MAX_DEPTH = 64 };

/* Punctuation that matters is its own type: ( ) , . ; */
enum { T_END = 0, T_WORD, T_QUOTED, T_OTHER };

typedef struct {
  int type;
  const char *text;
  size_t size;
} token;

typedef struct {
  const char *at;
  const char *end;
} lexer;

/* A CTE in sight. Scopes are chains of indexes, -1 ends them: `outer` is the
 * next one out, `scope` what its own body sees, the whole WITH list included. */
typedef struct {
  token name;
  const char *body;
  int outer;
  int scope;
  bool entered;
} cte;

typedef struct {
  cte ctes[MAX_CTES];
  int count;
  bool full; /* there are more: what is not found among them may be one */
  const char *end;
  token table;
} search;

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static char fold(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

static bool starts_word(char c) {
  return (fold(c) >= 'A' && fold(c) <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool continues_word(char c) { return starts_word(c) || is_digit(c) || c == '$'; }
static bool continues_number(char c) { return continues_word(c) || c == '.'; }
static bool continues_suffix(char c) { return !is_space(c) && c != ')'; }

static size_t left(const lexer *lx) { return (size_t)(lx->end - lx->at); }

static bool sees(const lexer *lx, const char *text) {
  size_t size = strlen(text);
  return left(lx) >= size && memcmp(lx->at, text, size) == 0;
}

/* Moves behind the next `c`; without one, to the end, and returns false. */
static bool skip_past(lexer *lx, char c) {
  const char *found = left(lx) ? memchr(lx->at, c, left(lx)) : NULL;
  lx->at = found ? found + 1 : lx->end;
  return found != NULL;
}

static void skip_block_comment(lexer *lx) {
  lx->at += 2;
  while (skip_past(lx, '*') && !sees(lx, "/")) continue;
  if (left(lx)) lx->at++;
}

static int lex_while(lexer *lx, bool (*belongs)(char), int type) {
  while (left(lx) && belongs(*lx->at)) lx->at++;
  return type;
}

/* As in SQLite a byte-order mark is space anywhere, and a vertical tab only behind space. */
static void skip_blank(lexer *lx) {
  for (;;) {
    if (left(lx) && is_space(*lx->at) && *lx->at != '\v') lex_while(lx, is_space, T_END);
    else if (sees(lx, "--")) lx->at -= skip_past(lx, '\n');
    else if (sees(lx, "/*") && left(lx) > 2) skip_block_comment(lx); /* at the end they are two operators */
    else if (sees(lx, "\xEF\xBB\xBF")) lx->at += 3;
    else return;
  }
}

/* Behind : @ $ #. SQLite also takes Tcl's `$a::b(c)`, and the suffix may hold
 * any byte but space: read as punctuation, its `;` would end the statement. */
static int lex_parameter(lexer *lx) {
  size_t letters = 0;
  for (;; lx->at++) {
    if (left(lx) && continues_word(*lx->at)) letters++;
    else if (sees(lx, "::")) lx->at++;
    else break;
  }
  if (!letters || !sees(lx, "(")) return T_OTHER;
  lex_while(lx, continues_suffix, T_OTHER);
  if (sees(lx, ")")) lx->at++;
  return T_OTHER;
}

/* An unterminated name is no name: SQLite refuses the text. */
static int lex_quoted(lexer *lx, char quote) {
  while (skip_past(lx, quote)) {
    if (!left(lx) || *lx->at != quote) return T_QUOTED;
    lx->at++;
  }
  return T_OTHER;
}

/* Behind its X, which begins a word otherwise. Its quotes do not double. */
static int lex_blob(lexer *lx) {
  lx->at++;
  skip_past(lx, '\'');
  return T_OTHER;
}

/* `1e+5` becomes three tokens, which is close enough: none is a name. */
static int lex(lexer *lx) {
  char first = *lx->at++;
  bool digit_follows = left(lx) && is_digit(*lx->at);
  if (memchr("(),;", first, 4)) return first;
  if (memchr("\"'`", first, 3)) return lex_quoted(lx, first);
  if (first == '[') return skip_past(lx, ']') ? T_QUOTED : T_OTHER;
  if (first == '.' && !digit_follows) return first;
  if (first == '.' || is_digit(first)) return lex_while(lx, continues_number, T_OTHER);
  if (first == '?') return lex_while(lx, is_digit, T_OTHER);
  if (memchr(":@$#", first, 4)) return lex_parameter(lx);
  if (fold(first) == 'X' && sees(lx, "'")) return lex_blob(lx);
  return starts_word(first) ? lex_while(lx, continues_word, T_WORD) : T_OTHER;
}

static token next(lexer *lx) {
  skip_blank(lx);
  token t = {T_END, lx->at, 0};
  if (!left(lx)) return t;
  t.type = lex(lx);
  t.size = (size_t)(lx->at - t.text);
  return t;
}

static bool is(token t, const char *word) {
  if (t.type != T_WORD || t.size != strlen(word)) return false;
  size_t i = 0;
  while (i < t.size && fold(t.text[i]) == word[i]) i++;
  return i == t.size;
}

static bool is_any(token t, const char *const *words) {
  while (*words && !is(t, *words)) words++;
  return *words != NULL;
}

/* In table position: a reserved word there is refused by SQLite anyway. */
static bool is_name(token t) { return t.type == T_WORD || t.type == T_QUOTED; }

static bool accept(lexer *lx, const char *word) {
  lexer ahead = *lx;
  bool wanted = is(next(&ahead), word);
  if (wanted) *lx = ahead;
  return wanted;
}

static bool accept_type(lexer *lx, int type) {
  lexer ahead = *lx;
  bool wanted = next(&ahead).type == type;
  if (wanted) *lx = ahead;
  return wanted;
}

/* From behind a `(` to behind its `)`. */
static void skip_group(lexer *lx) {
  for (size_t depth = 1; depth > 0;) {
    int type = next(lx).type;
    if (type == T_END) return;
    if (type == '(') depth++;
    if (type == ')') depth--;
  }
}

/* The next token of this nesting level. A group counts as one, so a FROM in
 * it is never seen; at the `)` of the level itself stands T_END, for good. */
static token step(lexer *lx) {
  lexer before = *lx;
  token t = next(lx);
  if (t.type == ')' || t.type == ';') {
    *lx = before;
    t.type = T_END;
  } else if (t.type == '(') {
    skip_group(lx);
    t.type = T_OTHER;
  }
  return t;
}

/* `t` or `schema.t`; a zeroed token when there is no name. */
static token table_name(lexer *lx) {
  token t = next(lx);
  if (is_name(t) && accept_type(lx, '.')) t = next(lx);
  return is_name(t) ? t : (token){0};
}

/* A name's bytes without its quotes; `quote` is the one to undouble, or 0. */
typedef struct {
  const char *at;
  const char *end;
  char quote;
} unquoter;

static unquoter unquote(const char *name, size_t size) {
  unquoter u = {name, name + size, 0};
  if (size < 2 || !memchr("\"'`[", *name, 4)) return u;
  if (*name != '[') u.quote = *name;
  u.at++;
  u.end--;
  return u;
}

/* The next byte, 0 to 255, or -1 at the end. */
static int unquoted_byte(unquoter *u) {
  if (u->at == u->end) return -1;
  char c = *u->at++;
  if (u->quote && c == u->quote && u->at < u->end && *u->at == u->quote) u->at++;
  return (unsigned char)c;
}

static bool same_name(token a, token b) {
  unquoter x = unquote(a.text, a.size);
  unquoter y = unquote(b.text, b.size);
  for (;;) {
    int c = unquoted_byte(&x);
    int d = unquoted_byte(&y);
    if (c < 0 || d < 0) return c == d;
    if (fold((char)c) != fold((char)d)) return false;
  }
}

size_t cdb__sql_name(const char *name, size_t size, char *out, size_t capacity) {
  if (!capacity) return 0;
  unquoter u = unquote(size ? name : "", size);
  size_t length = 0;
  for (int c; length < capacity && (c = unquoted_byte(&u)) >= 0; length++) out[length] = (char)c;
  out[length < capacity ? length : 0] = '\0'; /* half a name could be another table's */
  return length;
}

/* Reads the list behind WITH. False if it is not one. */
static bool read_with(search *s, lexer *lx, int *scope) {
  int first = s->count;
  accept(lx, "RECURSIVE");
  do {
    token name = next(lx);
    if (!is_name(name)) return false;
    if (accept_type(lx, '(')) skip_group(lx);
    if (!accept(lx, "AS")) return false;
    accept(lx, "NOT");
    accept(lx, "MATERIALIZED");
    if (!accept_type(lx, '(')) return false;
    s->full = s->full || s->count == MAX_CTES;
    if (!s->full) {
      s->ctes[s->count] = (cte){.name = name, .body = lx->at, .outer = *scope};
      *scope = s->count++;
    }
    skip_group(lx);
  } while (accept_type(lx, ','));
  for (int i = first; i < s->count; i++) s->ctes[i].scope = *scope;
  return true;
}

static cte *find_cte(search *s, token name, int scope) {
  while (scope >= 0 && !same_name(s->ctes[scope].name, name)) scope = s->ctes[scope].outer;
  return scope >= 0 ? &s->ctes[scope] : NULL;
}

static const char *const select_words[] = {"SELECT", "VALUES", "WITH", NULL};
static const char *const compound_words[] = {"UNION", "EXCEPT", "INTERSECT", NULL};
static const char *const clause_words[] = {"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", NULL};

/* Behind the FROM of this SELECT; stays before what ends a SELECT without one.
 * FROM behind DISTINCT is the operator IS [NOT] DISTINCT FROM. */
static bool to_from(lexer *lx) {
  bool distinct = false;
  for (;;) {
    lexer ahead = *lx;
    token t = step(&ahead);
    if (t.type == T_END || is_any(t, compound_words)) return false;
    *lx = ahead;
    if (is(t, "FROM") && !distinct) return true;
    distinct = is(t, "DISTINCT");
  }
}

static bool to_next_arm(lexer *lx) {
  token t = step(lx);
  while (t.type != T_END && !is_any(t, compound_words)) t = step(lx);
  accept(lx, "ALL");
  return t.type != T_END;
}

/* WINDOW is an alias unless `name AS` follows: SQLite's own rule. */
static bool begins_window_clause(token t, lexer behind) {
  return is(t, "WINDOW") && is_name(next(&behind)) && is(next(&behind), "AS");
}

static bool to_next_term(lexer *lx) {
  for (;;) {
    lexer ahead = *lx;
    token t = step(&ahead);
    if (t.type == T_END || is_any(t, compound_words)) return false;
    if (is_any(t, clause_words) || begins_window_clause(t, ahead)) return false;
    *lx = ahead;
    if (t.type == ',' || is(t, "JOIN")) return true;
  }
}

/* The search_ functions call one another; `depth` bounds that. Each returns
 * true with s->table set, or false behind what it has looked through. */
static bool search_select(search *s, lexer *lx, int scope, int depth);
static bool search_from(search *s, lexer *lx, int scope, int depth);

/* Behind the `(` of a subquery or of a parenthesised join. */
static bool search_group(search *s, lexer *lx, int scope, int depth) {
  lexer ahead = *lx;
  bool select = is_any(next(&ahead), select_words);
  if (depth < MAX_DEPTH && (select ? search_select : search_from)(s, lx, scope, depth + 1)) return true;
  while (step(lx).type != T_END) continue;
  next(lx);
  return false;
}

static bool search_term(search *s, lexer *lx, int scope, int depth) {
  if (accept_type(lx, '(')) return search_group(s, lx, scope, depth);
  lexer start = *lx;
  token name = table_name(lx);
  bool qualified = next(&start).text != name.text;
  if (name.type == T_END) return false;
  if (accept_type(lx, '(')) { /* a table-valued function */
    skip_group(lx);
    return false;
  }
  cte *c = qualified ? NULL : find_cte(s, name, scope);
  if (qualified || (!c && !s->full)) {
    s->table = name;
    return true;
  }
  /* One that was entered before is its own recursion here, or has no table. */
  if (!c || c->entered || depth == MAX_DEPTH) return false;
  c->entered = true;
  lexer body = {c->body, s->end};
  return search_select(s, &body, c->scope, depth + 1);
}

static bool search_from(search *s, lexer *lx, int scope, int depth) {
  do {
    if (search_term(s, lx, scope, depth)) return true;
  } while (to_next_term(lx));
  return false;
}

static bool search_select(search *s, lexer *lx, int scope, int depth) {
  if (accept(lx, "WITH") && !read_with(s, lx, &scope)) return false;
  do {
    if (accept(lx, "SELECT") && to_from(lx) && search_from(s, lx, scope, depth)) return true;
  } while (to_next_arm(lx));
  return false;
}

static const struct {
  cdb__sql_kind kind;
  const char *words[7];
} verbs[] = {
    {CDB__SQL_SELECT, {"SELECT", "VALUES"}},
    {CDB__SQL_INSERT, {"INSERT", "REPLACE"}},
    {CDB__SQL_UPDATE, {"UPDATE"}},
    {CDB__SQL_DELETE, {"DELETE"}},
    {CDB__SQL_SCHEMA, {"CREATE", "ALTER", "DROP"}},
    {CDB__SQL_TRANSACTION, {"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"}},
    {CDB__SQL_ATTACH, {"ATTACH", "DETACH"}},
    {CDB__SQL_PRAGMA, {"PRAGMA"}},
    {CDB__SQL_EXPLAIN, {"EXPLAIN"}},
};

static cdb__sql_kind verb_kind(token t) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
    if (is_any(t, verbs[i].words)) return verbs[i].kind;
  }
  return CDB__SQL_OTHER;
}

static void skip_if_exists(lexer *lx) {
  lexer ahead = *lx;
  if (!accept(&ahead, "IF")) return;
  accept(&ahead, "NOT");
  if (accept(&ahead, "EXISTS")) *lx = ahead;
}

/* Behind CREATE, ALTER or DROP: tables, and the table of a new index. */
static token schema_table(lexer *lx) {
  static const char *const fillers[] = {"TEMP", "TEMPORARY", "VIRTUAL", "UNIQUE", NULL};
  token t = next(lx);
  if (is_any(t, fillers)) t = next(lx);
  skip_if_exists(lx);
  if (is(t, "TABLE")) return table_name(lx);
  if (!is(t, "INDEX")) return (token){0};
  table_name(lx);
  return accept(lx, "ON") ? table_name(lx) : (token){0};
}

/* Behind INSERT, REPLACE, UPDATE or DELETE. `preposition` may be NULL. */
static token target_table(lexer *lx, const char *preposition) {
  if (accept(lx, "OR")) next(lx);
  if (preposition && !accept(lx, preposition)) return (token){0};
  return table_name(lx);
}

/* `lx` stands before the verb, `behind` behind it. */
static token main_table(search *s, cdb__sql_kind kind, lexer *lx, lexer *behind, int scope) {
  switch (kind) {
    case CDB__SQL_SELECT: search_select(s, lx, scope, 0); return s->table;
    case CDB__SQL_INSERT: return target_table(behind, "INTO");
    case CDB__SQL_UPDATE: return target_table(behind, NULL);
    case CDB__SQL_DELETE: return target_table(behind, "FROM");
    case CDB__SQL_SCHEMA: return schema_table(behind);
    default: return (token){0};
  }
}

/* Kind and table of the one statement that `lx` holds. */
static void classify(lexer lx, cdb__sql_info *out) {
  search s = {.count = 0, .end = lx.end};
  int scope = -1;
  bool with = accept(&lx, "WITH");
  out->kind = CDB__SQL_OTHER;
  if (with && !read_with(&s, &lx, &scope)) return;
  lexer behind = lx;
  cdb__sql_kind kind = verb_kind(next(&behind));
  if (with && kind > CDB__SQL_DELETE) return; /* no other may follow a WITH */
  out->kind = kind;
  token table = main_table(&s, kind, &lx, &behind, scope);
  out->table = table.text;
  out->table_size = table.size;
}

static bool creates(lexer lx, const char *what) {
  if (accept(&lx, "EXPLAIN") && accept(&lx, "QUERY")) accept(&lx, "PLAN");
  if (!accept(&lx, "CREATE")) return false;
  if (!accept(&lx, "TEMP")) accept(&lx, "TEMPORARY");
  return accept(&lx, what);
}

/* Behind the statement's semicolon, or the end of the text. A trigger ends at
 * `; END ;` and nowhere else, as in sqlite3_complete: no CASE ends behind a
 * semicolon. The arguments of a virtual table may hold some. */
static const char *statement_end(lexer lx) {
  enum { BODY, SEMICOLON, END } state = BODY;
  bool trigger = creates(lx, "TRIGGER"), module = creates(lx, "VIRTUAL");
  for (int depth = 0;;) {
    token t = next(&lx);
    if (t.type == T_END) return lx.end;
    if (module) depth += (t.type == '(') - (t.type == ')');
    if (t.type == ';' && depth <= 0 && (!trigger || state == END)) return lx.at;
    if (t.type == ';') state = SEMICOLON;
    else state = state == SEMICOLON && is(t, "END") ? END : BODY;
  }
}

static bool is_blank(const char *text, const char *end) {
  while (text < end && (*text == '\0' || is_space(*text))) text++;
  return text == end;
}

static void skip_semicolons(lexer *lx) {
  while (accept_type(lx, ';')) continue;
  skip_blank(lx);
}

void cdb__sql_scan(const char *sql, size_t size, cdb__sql_info *out) {
  *out = (cdb__sql_info){.kind = CDB__SQL_EMPTY};
  if (!size) return;
  const char *nul = memchr(sql, '\0', size);
  lexer lx = {sql, nul ? nul : sql + size};
  skip_semicolons(&lx);
  lexer rest = {statement_end(lx), lx.end};
  out->end = (size_t)(rest.at - sql);
  skip_semicolons(&rest);
  out->second = left(&rest) > 0 || !is_blank(lx.end, sql + size);
  if (!left(&lx)) return;
  lx.end = sql + out->end;
  classify(lx, out);
}
