-- Found by fuzzing: what came instead of the coordinator's answer, such as a proxy's page, raised Lua's own errors.

local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local json = require "collegedb.json"
local json_reader = require "collegedb.json_reader"
local net = require "collegedb.net"

describe("regression 464:", function()
  local perform, body = net.perform, nil

  before_each(function()
    net.perform = function() return { { status = 200, body = body, attempts = 1 } } end
  end)
  after_each(function() net.perform = perform end)

  for _, text in ipairs { "", "<html>", "null", "1", "[]", '{"epoch":"1"}', '{"epoch":1.5}',
    '{"rows":[[1]],"epoch":"1"}', '{"counts":[1]}', '{"digests":"0g"}', '{"turn":{}}' } do
    it("an answer of another form is no answer: " .. text, function()
      body = text
      local coordinator = collegedb.gateway({ url = "https://gateway.example", token = "t" }):coordinator()
      local entries, digest = coordinator:entries(), ("\1"):rep(16)
      fixture.raises("UNAVAILABLE", "not what was asked for", entries.lookup, entries, digest)
      fixture.raises("UNAVAILABLE", "not what was asked for", entries.known, entries, digest)
      fixture.raises("UNAVAILABLE", "not what was asked for", entries.counts, entries)
      fixture.raises("UNAVAILABLE", "not what was asked for", entries.page, entries, digest)
      fixture.raises("UNAVAILABLE", "not what was asked for", coordinator:turns().turn, "t")
    end)
  end

  it("a name that is no UTF-8 is written as JSON", function()
    local text = json.encode { ["\xff"] = 1 }
    assert.equal('{"$blob:ff":1}', text)
    assert.same({ ["$blob:ff"] = 1 }, json_reader.decode(text))
  end)
end)
