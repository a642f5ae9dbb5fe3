-- A token of one letter was hidden wherever that letter was: "i* could no* be connec*ed".

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"

describe("regression 418: a token", function()
  it("of one letter leaves messages as they are", function()
    local db = { kv = "memory:", shards = { a = collegedb.d1 { database = "x", endpoint = "http://127.0.0.1:1",
      token = "t", deadline = 1 } } }
    local err = fixture.raises("UNAVAILABLE", "connect", collegedb.open, db)
    assert.not_matches("%*", err and err.message or "")
    net.close()
  end)
end)
