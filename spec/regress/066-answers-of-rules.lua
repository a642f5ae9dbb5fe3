-- What rules answer was read outside of their guard, so that a metatable's error was none of ours. And a keyspace that
-- they gave to a root and to rows inside its groups hid those rows.

local fixture = require "spec.support.fixture"

describe("regression 066:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function open(rules)
    fixture.sqlite("a.db", [[CREATE TABLE teams (id INTEGER PRIMARY KEY);
      CREATE TABLE people (id INTEGER PRIMARY KEY, team INTEGER)]])
    return fixture.open(fixture.config({ rules = rules }, { "a" }))
  end

  it("an answer that raises is an error of the rules", function()
    local broken = setmetatable({}, { __index = function() error "boo" end })
    fixture.raises("SCRIPT", "boo", open, { table = function() return broken end })
  end)

  it("a name that is no string is no error", function()
    open { name = {}, table = function() return { key_column = "id" } end }
  end)

  it("one keyspace for roots and for rows inside groups is refused", function()
    fixture.raises("SCRIPT", "ids", open, { table = function(info)
      local group = info.name == "people" and { parent = "teams", column = "team" } or nil
      return { key_column = "id", keyspace = "ids", group = group }
    end })
  end)
end)
