-- `collegedb validate` never said which table follows another, nor that the column by which it does has no index.

local process = require "spec.support.process"

describe("regression 351:", function()
  it("validate says which table follows which", function()
    local folder = process.new_folder()
    process.write(folder .. "/collegedb.lua", "return { kv = 'd.db', shards = { { name = 'a', 'a.db' } } }")
    process.run({ "sqlite3", "a.db", [[CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE posts (id INTEGER PRIMARY KEY, owner REFERENCES users ON DELETE CASCADE)]] }, { folder = folder })
    local result = process.run({ process.collegedb, "validate" }, { folder = folder })
    process.remove(folder)
    assert.matches("\n  posts: key id, follows users, 0 records\n    issue: the column by which it follows users, "
      .. "owner has no index", result.stdout)
    assert.matches("\n  users: key id, 0 records\n", result.stdout)
    assert.equal(3, result.status)
  end)
end)
