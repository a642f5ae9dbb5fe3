-- Workers KV over a REST interface as Cloudflare's, on Cloudflare's own engine.

local collegedb = require "collegedb"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local neighbour = require "spec.support.neighbour"

local raises = fixture.raises

describe("Workers KV", function()
  local other, kv

  if neighbour.skips(it, function(why) pending(why) end) then return end

  setup(function()
    other = neighbour.start()
    kv = collegedb.cloudflare_kv(other:namespace())
  end)

  teardown(function() other:stop() end)
  before_each(function() other:control {} end)

  it("sets, gets and deletes values", function()
    kv:put("greeting", "hällo \"you\"\n")
    assert.equal("hällo \"you\"\n", kv:get "greeting")
    assert.is_nil(kv:get "nobody")
    kv:delete "greeting"
    kv:delete "greeting"
    assert.is_nil(kv:get "greeting")
  end)

  it("sets and gets many, a page at a time", function()
    local entries, names = {}, {}
    for i = 1, 250 do
      names[i] = "many:" .. i
      entries[i] = { key = names[i], value = "value " .. i }
    end
    kv:put_many(entries)
    names[#names + 1] = "many:none"
    other:control {}
    local values = kv:get_many(names)
    assert.equal(3, (other:control {}))
    for i = 1, 250 do assert.equal("value " .. i, values["many:" .. i]) end
    assert.is_nil(values["many:none"])
    local listed, cursor = {}, nil
    repeat
      local page
      page, cursor = kv:list("many:", cursor, 100)
      assert.is_true(#page <= 100)
      for _, name in ipairs(page) do listed[name] = true end
    until not cursor
    for i = 1, 250 do assert.is_true(listed["many:" .. i]) end
    names[#names] = nil
    kv:delete_many(names)
    assert.same({}, (kv:list "many:"))
  end)

  it("asks for nothing without a request", function()
    kv:put_many {}
    kv:delete_many {}
    assert.same({}, kv:get_many {})
    assert.equal(0, (other:control {}))
  end)

  it("sends again what was not written, and nothing else", function()
    other:control { fail = { b = 2, c = 1 } }
    kv:put_many { { key = "a", value = "1" }, { key = "b", value = "2" }, { key = "c", value = "3" } }
    local requests, written = other:control {}
    assert.equal(3, requests)
    assert.same({ "a", "c", "b" }, written)
    assert.equal("2", kv:get "b")
  end)

  it("says how many could not be written", function()
    other:control { fail = { b = 100 } }
    local err = raises("UNAVAILABLE", nil, function() kv:delete_many { "a", "b", "c" } end)
    assert.matches("1 of 3 keys could not be deleted", err.message)
    assert.same({ "b" }, err.unsuccessful)
  end)

  it("waits for a second when a key was written just now", function()
    other:control { busy = 6 }
    kv:put("a", "waited")
    assert.equal("waited", kv:get "a")
  end)

  it("tells what the service says, and no token", function()
    local given = other:namespace()
    given.namespace = "none"
    local err = raises("UNAVAILABLE", nil, function() collegedb.cloudflare_kv(given):get "a" end)
    assert.matches("namespace not found", err.message)
    given.token = "secret-that-is-wrong"
    err = raises("AUTH", nil, function() collegedb.cloudflare_kv(given):put("a", "b") end)
    assert.is_nil(err.message:find("secret", 1, true))
    assert.is_nil(tostring(collegedb.cloudflare_kv(given)):find("secret", 1, true))
  end)

  it("sends again what was lost on the way", function()
    faults.start()
    local far = collegedb.cloudflare_kv(other:namespace(faults.stand_before(other.url .. "/client/v4")))
    faults.network({ pass = true, keep = 0, ending = "close" }, { ending = "reset" })
    far:put_many { { key = "lost", value = "1" } }
    assert.equal("1", kv:get "lost")
    faults.network({ ending = "reset" }, { ending = "reset" })
    assert.equal("1", far:get "lost")
    faults.stop()
  end)

  it("refuses what it could not take", function()
    for _, name in ipairs { "", ".", "..", ("x"):rep(513), "\xff", 17 } do
      raises("USAGE", nil, function() kv:put(name, "x") end)
      raises("USAGE", nil, function() kv:get(name) end)
    end
    raises("USAGE", nil, function() kv:put("a", "\xff") end)
    raises("USAGE", nil, function() kv:put("a", nil) end)
    for field, value in pairs { account = 1, namespace = "a/b", token = "a b", deadline = 0, kv = "x" } do
      local given = other:namespace()
      given[field] = value
      raises("CONFIG", nil, function() collegedb.cloudflare_kv(given) end)
    end
    raises("CONFIG", nil, function() collegedb.cloudflare_kv { namespace = "a" } end)
    raises("CONFIG", nil, function() collegedb.cloudflare_kv "a" end)
  end)
end)
