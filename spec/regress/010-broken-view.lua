-- A view on a table that is gone, or a virtual table without its module, kept the whole database from opening.

local fixture = require "spec.support.fixture"

describe("regression 010:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a database with a broken view opens", function()
    fixture.sqlite("a.db", [[CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('x');
      CREATE VIEW broken AS SELECT * FROM gone]])
    assert(os.execute(([[sqlite3 %s "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES
      ('table', 'odd', 'odd', 0, 'CREATE VIRTUAL TABLE odd USING no_such_module(x)')"]]):format(fixture.path "a.db")))
    local db = fixture.open(fixture.config({}, { "a" }))
    assert.equal("x", db:first("x", "SELECT k FROM t WHERE k = 'x'").k)
  end)
end)
