-- The interactive mode of the program `collegedb`, on a pseudo-terminal.

local process = require "spec.support.process"

-- Starts a program on a terminal of its own and plays the steps on standard input against it, one a line:
--   send TEXT     \n is Enter, \s a space; \r, \t, \xNN are what they are in C
--   expect TEXT   waits for it in what was printed after the last one, at most ten seconds
--   resize N      makes the terminal N columns wide; the program is stopped meanwhile, and continued
-- Prints what came. Exit status: the program's, 100 if a step was not met, 101 if it did not end.
local helper = [[
#define _GNU_SOURCE
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char seen[1 << 20];
static size_t length = 0, from = 0;
static int terminal;

static int take(int wait) { /* 0: the program has closed the terminal */
  struct pollfd input = {terminal, POLLIN, 0};
  if (poll(&input, 1, wait) <= 0) return 1;
  ssize_t count = read(terminal, seen + length, sizeof seen - 1 - length);
  if (count <= 0) return 0;
  length += (size_t)count;
  seen[length] = '\0';
  return 1;
}

static int expect(const char *text) {
  time_t end = time(NULL) + 10;
  for (;;) {
    char *found = strstr(seen + from, text);
    if (found) {
      from = (size_t)(found - seen) + strlen(text);
      return 1;
    }
    if (!take(100) || time(NULL) > end) return 0;
  }
}

static char *unescape(char *text) {
  char *out = text;
  for (char *c = text; *c; c++) {
    if (*c != '\\') *out++ = *c;
    else if (*++c == 'n') *out++ = '\r';
    else if (*c == 's') *out++ = ' ';
    else if (*c == 'r') *out++ = '\r';
    else if (*c == 't') *out++ = '\t';
    else if (*c == 'x') { *out++ = (char)strtol((char[]){c[1], c[2], 0}, NULL, 16); c += 2; }
    else *out++ = *c;
  }
  *out = '\0';
  return text;
}

int main(int argc, char **argv) {
  char step[4096];
  struct winsize size = {.ws_row = 40, .ws_col = 200};
  (void)argc;
  pid_t child = forkpty(&terminal, NULL, NULL, &size);
  if (child == 0) { execvp(argv[1], argv + 1); _exit(127); }
  int met = 1;
  while (met && fgets(step, sizeof step, stdin)) {
    step[strcspn(step, "\n")] = '\0';
    if (strncmp(step, "send ", 5) == 0) {
      char *text = unescape(step + 5);
      if (write(terminal, text, strlen(text)) < 0) met = 0;
    } else if (strncmp(step, "expect ", 7) == 0) {
      met = expect(unescape(step + 7));
    } else if (strncmp(step, "resize ", 7) == 0) {
      size.ws_col = (unsigned short)atoi(step + 7);
      kill(child, SIGSTOP);
      met = ioctl(terminal, TIOCSWINSZ, &size) == 0 && kill(child, SIGCONT) == 0;
    }
    if (!met) printf("NOT MET: %s\n", step);
  }
  time_t end = time(NULL) + (met ? 10 : 0);
  while (take(100) && time(NULL) <= end) {}
  fputs(seen, stdout);
  int status, gone = 0;
  for (int i = 0; i < 20 && !(gone = waitpid(child, &status, WNOHANG) == child); i++) usleep(50000);
  if (!gone) { kill(child, SIGKILL); waitpid(child, &status, 0); }
  return !met ? 100 : !gone ? 101 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
]]

describe("the interactive mode", function()
  local tools, folder

  setup(function()
    tools = process.new_folder()
    process.write(tools .. "/pty.c", helper)
    local made = process.run {
      "sh", "-c", ("%s -o %s/pty %s/pty.c -lutil"):format(os.getenv "CC" or "gcc", tools, tools),
    }
    assert.equal("", made.stderr)
  end)
  teardown(function() process.remove(tools) end)
  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  ---Plays steps: "> text" is typed and ended with Enter, "< text" is waited for, "! text" is typed as it is, "= 60"
  ---makes the terminal so wide. Ctrl-D ends.
  local function play(words, steps, env)
    local lines = {}
    local words_for = { ["<"] = "expect ", ["="] = "resize " }
    for step in steps:gmatch "%f[^\n\0]%s*[<>!=] [^\n]*" do
      local kind, text = step:match "^%s*([<>!=]) ?(.*)$"
      assert(kind, step)
      local enter = kind == ">" and "\\n" or ""
      lines[#lines + 1] = (words_for[kind] or "send ") .. text .. enter
    end
    -- At a prompt, where the terminal is the editor's: elsewhere the driver would take it.
    lines[#lines + 1] = "expect >\\s\nsend \\x04"
    local set = {
      LUA_PATH = false, LUA_CPATH = false, HOME = folder, TERM = "xterm", LC_ALL = "C.UTF-8",
    }
    for name, value in pairs(env or {}) do set[name] = value end
    local result = process.run({ tools .. "/pty", process.collegedb, table.unpack(words) },
      { folder = folder, env = set, timeout = 30, input = table.concat(lines, "\n") .. "\n" })
    assert.equal(0, result.status, result.stdout)
    return result.stdout
  end

  it("prints values, goes on over lines, and ends with Ctrl-D", function()
    play({}, [[
      < (Lua 5.4
      < >\s
      > 6 * 7, 'two'
      < 42\ttwo
      > x = 5
      < >\s
      > for i = 1, 2 do
      < >>\s
      > print('turn ' .. i * 10)
      < >>\s
      > end
      < turn 10
      < turn 20
      > 'open ' ..
      < >>\s
      > #'four'
      < open 4
      > -- a comment
      > nil
      < nil
      > type(collegedb.open), db
      < function\tnil
    ]])
  end)

  it("tells errors and goes on", function()
    play({}, [[
      < >\s
      > error 'boom'
      < stdin:1: boom
      < stack traceback:
      > x = = 1
      < unexpected symbol near '='
      > error(setmetatable({}, { __tostring = function() return 'an ' .. 'object' end }))
      < an object
      > error()
      < (error object is a nil value)
      > collegedb.open {}
      < CONFIG:\s
      > 'alive ' .. 1
      < alive 1
    ]])
  end)

  it("completes names with Tab", function()
    play({}, [[
      < >\s
      ! str\t.rep\t('ab', 3)\n
      < ababab
      > account = { total_amount = 1234 + 1, total_count = 2, show = function() return 'shown' .. 1 end }
      ! acc\t.tot\t
      ! a\t\n
      < 1235
      ! account:sh\t()\n
      < shown1
      ! account.total_\t
      < total_amount
      < total_count
      ! a\t\n
      < 1235
    ]])
  end)

  it("takes Tab at the start of a line for an indent, and has nothing to say to names that are not there", function()
    play({}, [[
      < >\s
      ! \t7 * 191\n
      < 1337
      > numbers = { one = 1 }
      < >\s
      ! numbers.one.more.\tx\n
      < attempt to index
      ! nothing.at.\tx\n
      < attempt to index
      > { 1, { 2 } }, { { one = {} } }
      < table
    ]])
  end)

  it("follows a terminal that changes its width, and one that was stopped", function()
    play({}, [[
      < >\s
      > require 'collegedb.host'.columns 'stdout'
      < 200\t40
      ! 1000 +
      < 1000 +
      = 60
      ! \s234\n
      < 1234
      > require 'collegedb.host'.columns 'stdout'
      < 60\t40
    ]])
  end)

  it("shortens a history that has become very long, and does without one that is no file", function()
    process.write(folder .. "/.collegedb_history", ("x = 'a line of a long history'\n"):rep(40000) .. "1300 + 37\n")
    play({}, "< >\\s\n! \\x1b[A\n< 1300 + 37\n! \\n\n< 1337\n")
    local history = process.read(folder .. "/.collegedb_history")
    assert(#history > 400000 and #history < 600000, #history)
    assert.equal("x = 'a line of a long history'", history:match "^[^\n]*")
    os.remove(folder .. "/.collegedb_history")
    assert(os.execute("mkfifo " .. folder .. "/.collegedb_history"))
    play({}, "< >\\s\n> 1300 + 38\n< 1338\n")
  end)

  it("opens the database of ./collegedb.lua and shows rows as a table", function()
    process.write(folder .. "/collegedb.lua", "return { kv = 'memory:', shards = { { name = 'a', ':memory:' } } }")
    play({}, [[
      < >\s
      > db:ensure_schema 'CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT, age INTEGER)'
      > db:insert('ada', "INSERT INTO users VALUES ('ada', 'Ada', 36)")
      < 1 changed on a
      > db:run('bob', "INSERT INTO users VALUES ('bob', 'Bob', NULL)")
      < 1 changed on a
      > db:all('ada', 'SELECT * FROM users')
      < age  id   name\r
      <  36  ada  Ada\r
      <      bob  Bob\r
      > db:run('ada', 'SELECT name, id FROM users')
      < name  id\r
      < Ada   ada\r
      > { { a = 1, b = 'x' } }, 5
      < a  b\r
      < 1  x\r
      < 5\r
      > db:run('ada', "INSERT INTO users VALUES ('ada', 'Ada', 36)")
      < stdin:1: CONSTRAINT: UNIQUE constraint failed
      ! db:sel\t('ada', "SELECT 'yes' AS no").columns[1]\n
      < no\r
    ]])
  end)

  it("opens the database that --config names, also after a script", function()
    process.write(folder .. "/my.lua", "return { kv = 'memory:', shards = { { name = 'mine', ':memory:' } } }")
    process.write(folder .. "/script.lua", "seen = type(db) .. ' in the script'")
    play({ "--config", "my.lua", "-i", "script.lua" }, [[
      < >\s
      > seen
      < userdata in the script
      > db:run('k', 'CREATE TABLE t (x)').meta.served_by
      < mine
    ]])
  end)

  it("goes on where ./collegedb.lua cannot be opened", function()
    process.write(folder .. "/collegedb.lua", "return { kv = 5 }")
    play({}, [[
      < CONFIG:\s
      < >\s
      > 'alive ' .. 1
      < alive 1
    ]])
  end)

  describe("at Ctrl-C", function()
    it("interrupts the statement that runs", function()
      play({}, [[
        < >\s
        > print('be' .. 'gun') while true do end
        < begun
        ! \x03
        < interrupted!
        > 'alive ' .. 1
        < alive 1
        > print('be' .. 'gun') while true do end
        < begun
        ! \x03
        < interrupted!
        > 'alive ' .. 2
        < alive 2
      ]])
    end)

    it("drops what is half typed", function()
      play({}, [[
        < >\s
        ! error 'not run
        < error 'not run
        ! \x03
        < ^C
        < >\s
        > for i = 1, 2 do
        < >>\s
        ! print(i
        < print(i
        ! \x03
        < ^C
        < >\s
        > 'alive ' .. 1
        < alive 1
        < >\s
        ! error 'not run\x03'typed ' .. 'at once'\n
        < typed at once
        ! \x03
        < ^C
      ]])
    end)
  end)

  it("keeps its history, which nobody else may read", function()
    local path = folder .. "/.collegedb_history"
    play({}, [[
      < >\s
      > value = 'first ' .. 1
      > value
      < first 1
    ]])
    assert.equal("value = 'first ' .. 1\nvalue\n", process.read(path))
    local mode = process.run { "stat", "-c", "%a", path }
    assert.equal("600\n", mode.stdout)
    process.run { "chmod", "644", path }
    play({}, [[
      < >\s
      > value = 'second ' .. 1
      ! \x10\x10\n
      < second 1
    ]])
    assert.equal("600\n", process.run({ "stat", "-c", "%a", path }).stdout)
    play({}, "< >\\s\n > 1", { HOME = false })
    assert.equal("value = 'first ' .. 1\nvalue\nvalue = 'second ' .. 1\nvalue\n", process.read(path))
  end)

  it("takes UTF-8, also where the environment does not say so", function()
    play({}, [[
      < >\s
      > #'größe', 'ö' .. 'ß'
      < 7	öß
    ]], { LC_ALL = false, LANG = false, LC_CTYPE = false })
  end)

  it("is not loaded by a script run", function()
    process.write(folder .. "/script.lua",
      "for line in io.lines '/proc/self/maps' do assert(not line:find 'libedit') end")
    assert.equal("", process.run({ process.collegedb, "./script.lua" }, { folder = folder }).stderr)
  end)
end)
