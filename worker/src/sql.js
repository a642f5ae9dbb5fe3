// What can be told of a statement by its tokens: is it one, what does it do, does it only read?
//
// Tokens are cut where SQLite cuts them (tokenize.c), in one pass: a string here is a string there. What SQLite would
// not take as a token, or D1 has no use for ("$x(…)", which swallows quotes), makes the text no statement at all.

const SPACE = /[ \t\n\f\r\ufeff]/; // a byte order mark too, where a token may begin
const WORD = /[A-Za-z0-9_$\u0080-\uffff]+/y;
const CLOSING = { "'": "'", '"': '"', "`": "`", "[": "]" };

// Where the quoted text that begins here ends; a doubled quote is a part of it. 0: it does not end.
function quotedEnd(sql, at) {
  const closing = CLOSING[sql[at]];
  for (let from = at + 1; ; from += 2) {
    from = sql.indexOf(closing, from);
    if (from < 0) return 0;
    if (closing === "]" || sql[from + 1] !== closing) return from + 1;
  }
}

// Where the comment ends that begins here; undefined: none does.
function commentEnd(sql, at) {
  const two = sql.substr(at, 2);
  if (two !== "--" && (two !== "/*" || at + 2 === sql.length)) return undefined;
  const end = two === "--" ? sql.indexOf("\n", at) + 1 : sql.indexOf("*/", at + 2) + 2;
  return end > at + 1 ? end : sql.length;
}

function wordEnd(sql, at) {
  WORD.lastIndex = at;
  return WORD.test(sql) ? WORD.lastIndex : 0;
}

// SQLite's capitals are ASCII only: for JavaScript "ſelect" would be SELECT too.
const capitals = (text) => text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());

// What stands in quotes, behind a "'", as far as anyone asks for it.
const quotedToken = (sql, at, end) => "'" + capitals(sql.slice(at + 1, Math.min(end - 1, at + 50)));

// The tokens: words in capitals, what is quoted, other characters as they are; and where the last one ends that is no
// semicolon. undefined: not SQL.
function tokensOf(sql) {
  const tokens = [];
  let last = 0;
  for (let at = 0; at < sql.length; ) {
    const first = sql[at];
    const comment = commentEnd(sql, at);
    if (comment !== undefined || SPACE.test(first)) {
      at = comment ?? at + 1;
      continue;
    }
    if (/[\0$@:#]/.test(first)) return undefined;
    const quoted = Object.hasOwn(CLOSING, first);
    const end = quoted ? quotedEnd(sql, at) : wordEnd(sql, at);
    if (quoted && !end) return undefined;
    tokens.push(quoted ? quotedToken(sql, at, end) : end ? capitals(sql.slice(at, end)) : first);
    at = end || at + 1;
    if (first !== ";") last = at;
  }
  return { tokens, last };
}

// Where the first statement's last token is. A trigger's body ends with "; END".
function endOfFirst(tokens) {
  const trigger = tokens[0] === "CREATE" && tokens.slice(1, 3).includes("TRIGGER");
  const end = tokens.findIndex((token, i) =>
    token === ";" && (!trigger || (tokens[i - 1] === "END" && tokens[i - 2] === ";")));
  return end < 0 ? tokens.length : end;
}

const VERB = /^(SELECT|VALUES|INSERT|REPLACE|UPDATE|DELETE)$/;

// What a statement does: its first word, or behind WITH that of the statement that the names are for. Such a name may
// be a word as well, but it has no bracket before it.
function verbOf(tokens) {
  if (tokens[0] !== "WITH") return tokens[0];
  let depth = 0;
  for (const [i, token] of tokens.entries()) {
    if (token === "(") depth++;
    else if (token === ")") depth--;
    else if (depth === 0 && tokens[i - 1] === ")" && VERB.test(token)) return token;
  }
  return undefined;
}

// Settings, which are read where no value follows.
const SETTING = /^(FOREIGN_KEYS|DEFER_FOREIGN_KEYS|RECURSIVE_TRIGGERS|IGNORE_CHECK_CONSTRAINTS|LEGACY_ALTER_TABLE)$/;
const PRAGMA = /^(TABLE_(X?INFO|LIST)|INDEX_(LIST|X?INFO)|FOREIGN_KEY_(LIST|CHECK))$/;

function pragmaReads(tokens) {
  const name = tokens[2] === "." ? tokens[3] : tokens[1];
  if (SETTING.test(name)) return !tokens.includes("=") && !tokens.includes("(");
  return PRAGMA.test(name) && !tokens.includes("=");
}

// pragma_optimize is a table that writes. A table's name may also stand in quotes of any kind.
function writingTable(token) {
  const [, name] = /^'?PRAGMA_(.*)/s.exec(token) ?? [];
  return name !== undefined && !PRAGMA.test(name);
}

// Some PRAGMAs do their work while they are compiled, so EXPLAIN is no excuse for them.
function onlyReads(verb, tokens) {
  if (tokens.some(writingTable)) return false;
  if (verb === "PRAGMA") return pragmaReads(tokens);
  if (verb === "EXPLAIN") return !tokens.includes("PRAGMA");
  return verb === "SELECT" || verb === "VALUES";
}

function look(text) {
  const { tokens, last } = tokensOf(text) ?? { tokens: [] };
  const end = endOfFirst(tokens);
  if (end === 0 || tokens.some((token, i) => i > end && token !== ";")) return undefined;
  const verb = verbOf(tokens);
  const counts = /^(INSERT|REPLACE|UPDATE|DELETE)$/.test(verb);
  return { sql: text.slice(0, last), reads: onlyReads(verb, tokens), counts };
}

// Programs send the same few texts again and again.
const seen = new Map();
const MOST = 500;
const LONGEST = 2000;

// undefined: the text is not one statement. Else the statement, without what D1 takes for an empty second one (a
// comment behind the semicolon), whether it `reads` only, and whether changes() tells what it changed.
export function lookAt(text) {
  let found = seen.get(text);
  if (found) return found;
  found = look(text);
  if (found && text.length <= LONGEST) {
    if (seen.size >= MOST) seen.clear();
    seen.set(text, found);
  }
  return found;
}
