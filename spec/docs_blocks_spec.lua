-- Every code block of the documentation is run (spec/docs_spec.lua), or looked at here by whoever reads its
-- language, or says why not. Which blocks say so is printed.

local pages = require "spec.support.pages"
local json_reader = require "collegedb.json_reader"
local process = require "spec.support.process"

-- What a fragment in C finds, and what a whole program may need.
local c_frame <const> = [[
#include <collegedb.h>
#include <collegedb_lua.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>
void print_name(cdb_value name);
void fragment(cdb *db, cdb_value key, cdb_rows *rows, cdb_error err, lua_State *L);
void fragment(cdb *db, cdb_value key, cdb_rows *rows, cdb_error err, lua_State *L) {
  (void)db, (void)key, (void)rows, (void)err, (void)L;
%s}
]]

local function pkg_config(words)
  local pipe <close> = assert(io.popen("pkg-config " .. words))
  return (pipe:read "a":gsub("\n", " "))
end

local function check_c(block)
  local text = block.text:find "#include" and block.text or nil
  if not text or not text:find "[%w_]+%(.-%) {" then
    text = c_frame:format(block.text:gsub("#include[^\n]*\n", ""))
  end
  local flags = "-std=c11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wno-unused -Werror -Iinclude "
    .. pkg_config "--cflags lua5.4"
  local result = process.run({ "sh", "-c", (os.getenv "CC" or "cc") .. " " .. flags .. " -x c -" }, { input = text })
  return result.status == 0, result.stderr
end

-- A program, an expression, or some fields of a table.
local function check_lua(block)
  local chunk, message = load(block.text, "=block", "t")
  return chunk or load("return " .. block.text, "=x", "t") or load("return {" .. block.text .. "}", "=x", "t"), message
end

local function check_sh(block)
  if block.how == "" then return false, "say `sh run`, or `sh not run: REASON`" end
  local result = process.run({ "bash", "-n" }, { input = block.text })
  return result.status == 0, result.stderr
end

local function check_json(block)
  return pcall(json_reader.decode, block.text)
end

-- Comments, and a comma behind the last field; strings with "//" in them are left alone.
local function check_jsonc(block)
  local text = ("\n" .. block.text):gsub('\n([^\n"]*)//[^\n]*', "\n%1"):gsub('",?%s*//[^\n]*', function(found)
    return found:match '^",?'
  end)
  text = text:gsub(",(%s*[%]}])", "%1"):gsub(",%s*$", "")
  local read, message = pcall(json_reader.decode, text)
  if not read then read = pcall(json_reader.decode, "{" .. text .. "}") end
  return read, message
end

local sql_before = {}

local function check_sql(block)
  local script = (sql_before[block.page] or "") .. block.text
  local result = process.run({ "sqlite3", "-bail", ":memory:" }, { input = script })
  sql_before[block.page] = script
  return result.status == 0, result.stderr
end

local checks = {
  c = check_c, lua = check_lua, sh = check_sh, json = check_json, jsonc = check_jsonc, sql = check_sql,
  text = function(block) return block.how == "output", "say `text output`, or `text not run: a picture`" end,
}

-- What may stand behind the language.
local modes <const> = { [""] = true, run = true, gateway = true, output = true }

local function known_mode(block)
  return modes[block.how] or block.reason ~= nil or block.how:find "^file=%S+$" ~= nil
end

local function problem_of(block)
  if block.language == "" then return "a code block says no language" end
  if not known_mode(block) then return ("%q is nothing that a code block may be"):format(block.info) end
  local check = checks[block.language]
  if not check then return not block.reason and ("nothing reads %s: say `not run: REASON`"):format(block.language) end
  if block.reason and block.language ~= "lua" and block.language ~= "sh" then return nil end
  local good, message = check(block)
  return not good and tostring(message)
end

describe("every code block of the documentation", function()
  it("is run, or read by whoever knows its language, or says why not", function()
    local problems, reasons = {}, {}
    for _, page in ipairs(pages.list()) do
      for _, block in ipairs(pages.blocks(page)) do
        local problem = problem_of(block)
        if problem then problems[#problems + 1] = ("%s:%d: %s"):format(page, block.line, problem) end
        if block.reason then
          reasons[#reasons + 1] = ("not run: %s:%d: %s: %s"):format(page, block.line, block.language, block.reason)
        end
      end
    end
    for _, reason in ipairs(reasons) do io.write(reason, "\n") end
    assert.same({}, problems)
  end)

  it("is between fences: nothing is code because it is indented", function()
    local found = {}
    for _, page in ipairs(pages.list()) do
      local previous = ""
      for line in (pages.prose(page) .. "\n"):gmatch "(.-)\n" do
        local in_list = previous:find "^%s*[-*%d]"
        if previous == "" and line:find "^    %S" and not in_list then found[#found + 1] = page .. ": " .. line end
        previous = line
      end
    end
    assert.same({}, found)
  end)
end)
