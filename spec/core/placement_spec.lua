-- Weighted rendezvous placement: shares by weight, few keys placed anew, the same on every machine.

local core = require "collegedb.core"

local KEYS <const> = 100000

local function nodes(count, weights)
  local list = {}
  for i = 1, count do list[i] = { name = "shard-" .. i, weight = weights and weights[i] } end
  return list
end

local function place_all(list, keyspace)
  local placement, placed, counts = core.placement(list), {}, {}
  for i = 1, #list do counts[i] = 0 end
  for i = 1, KEYS do
    local node = placement:place(keyspace or "", "key" .. i)
    placed[i] = node
    counts[node] = counts[node] + 1
  end
  return placed, counts
end

describe("the placement", function()
  it("gives each of equal shards its share within 1 % of the keys", function()
    for _, n in ipairs { 2, 3, 16, 31 } do
      local _, counts = place_all(nodes(n))
      for i = 1, n do
        local off = math.abs(counts[i] / KEYS - 1 / n)
        assert.is_true(off < 0.01, ("%d of %d: %.4f"):format(i, n, off))
      end
    end
  end)

  it("gives shares in proportion to weights within 1 %", function()
    for _, weights in ipairs { { 1, 2, 3, 4 }, { 0.5, 0.5, 1 }, { 10, 1 }, { 1, 1, 1, 97 }, { 1e-3, 1e3 } } do
      local _, counts = place_all(nodes(#weights, weights))
      local total = 0
      for _, weight in ipairs(weights) do total = total + weight end
      for i, weight in ipairs(weights) do
        assert.is_true(math.abs(counts[i] / KEYS - weight / total) < 0.01, ("%d: %d"):format(i, counts[i]))
      end
    end
  end)

  it("moves keys only to a 17th shard, and 1/17 of them ± 0.5 %", function()
    local before, after = place_all(nodes(16)), place_all(nodes(17))
    local moved = 0
    for i = 1, KEYS do
      if before[i] ~= after[i] then
        assert.equal(17, after[i])
        moved = moved + 1
      end
    end
    assert.is_true(math.abs(moved / KEYS - 1 / 17) < 0.005, "moved " .. moved)
  end)

  it("moves only the keys of a shard that goes", function()
    local all = nodes(5)
    local fewer = { all[1], all[2], all[4], all[5] }
    local names = { 1, 2, 4, 5 }
    local before, after = place_all(all), place_all(fewer)
    for i = 1, KEYS do
      if before[i] ~= 3 then assert.equal(before[i], names[after[i]]) end
    end
  end)

  it("moves keys only towards a shard that gets heavier", function()
    local before, after = place_all(nodes(4)), place_all(nodes(4, { 1, 1, 1.5, 1 }))
    for i = 1, KEYS do
      if before[i] ~= after[i] then assert.equal(3, after[i]) end
    end
  end)

  it("does not depend on the order of the shards, only on their names", function()
    local list = nodes(6, { 1, 2, 1, 3, 1, 1 })
    local reversed = {}
    for i = 6, 1, -1 do reversed[#reversed + 1] = list[i] end
    local one, two = place_all(list), place_all(reversed)
    for i = 1, KEYS do assert.equal(one[i], 7 - two[i]) end
  end)

  it("does not depend on all weights being multiplied", function()
    local one, two = place_all(nodes(4, { 1, 2, 3, 4 })), place_all(nodes(4, { 2, 4, 6, 8 }))
    local different = 0
    for i = 1, KEYS do
      if one[i] ~= two[i] then different = different + 1 end
    end
    assert.equal(0, different)
  end)

  it("places keyspaces apart", function()
    local one, two = place_all(nodes(4), "users"), place_all(nodes(4), "posts")
    local same = 0
    for i = 1, KEYS do
      if one[i] == two[i] then same = same + 1 end
    end
    assert.is_true(math.abs(same / KEYS - 0.25) < 0.01)
  end)

  it("does not follow a key's last character, as the TypeScript library's does", function()
    local placement = core.placement(nodes(31))
    local different = false
    for i = 1, 20 do different = different or placement:place("", "a" .. i .. "x") ~= placement:place("", "bx") end
    assert.is_true(different)
  end)

  it("is the same on every machine and in every version", function()
    local weighted, plain = core.placement(nodes(5, { 1, 2, 0.5, 3, 1 })), core.placement(nodes(5))
    local got = {}
    for i = 1, 20 do got[i] = plain:place("", "key" .. i) .. weighted:place("users", tostring(i)) end
    -- From a program of its own, with logl in the place of our logarithm.
    assert.equal("54 12 51 12 12 42 45 52 21 55 32 14 25 42 54 22 41 31 31 21", table.concat(got, " "))
  end)

  it("is nothing without shards, and the one of one", function()
    assert.is_nil(core.placement({}):place("", "x"))
    assert.equal(1, core.placement(nodes(1)):place("", "x"))
  end)
end)
