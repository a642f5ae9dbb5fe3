-- Digests of keys against another program's SHA-256, and decimal text as integers.

local core = require "collegedb.core"
local process = require "spec.support.process"

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

-- What sha256sum says of the bytes.
local function outside(command, bytes)
  local folder = process.new_folder()
  process.write(folder .. "/in", bytes)
  local pipe <close> = assert(io.popen(("env -u LD_PRELOAD %s < %s/in"):format(command, folder)))
  local answer = pipe:read "a"
  process.remove(folder)
  return answer:match "^%x+"
end

local messages <const> = { "", "abc", "a\0b", ("x"):rep(55), ("x"):rep(56), ("x"):rep(63), ("x"):rep(64), ("x"):rep(65),
  ("long "):rep(5000), "\xff\xfe" }

describe("core.sha256", function()
  it("gives the standard's examples", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hex(core.sha256 ""))
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex(core.sha256 "abc"))
  end)

  it("agrees with sha256sum", function()
    for _, message in ipairs(messages) do assert.equal(outside("sha256sum", message), hex(core.sha256(message))) end
  end)

  it("with a secret gives the HMAC of RFC 4231", function()
    assert.equal("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      hex(core.sha256("Hi There", ("\x0b"):rep(20))))
    assert.equal("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      hex(core.sha256("Test Using Larger Than Block-Size Key - Hash Key First", ("\xaa"):rep(131))))
  end)

  it("with a secret agrees with RFC 2104, written down with sha256sum", function()
    local function xor(text, byte)
      return (text:gsub(".", function(c) return string.char(c:byte() ~ byte) end))
    end
    local function binary(digits)
      return (digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
    end
    for _, secret in ipairs { "k", ("s"):rep(63), ("s"):rep(64), ("s"):rep(65), ("s"):rep(200), "\0" } do
      local key = #secret > 64 and binary(outside("sha256sum", secret)) or secret
      key = key .. ("\0"):rep(64 - #key)
      for _, message in ipairs(messages) do
        local inner = binary(outside("sha256sum", xor(key, 0x36) .. message))
        assert.equal(outside("sha256sum", xor(key, 0x5c) .. inner), hex(core.sha256(message, secret)))
      end
    end
  end)
end)

describe("core.digest", function()
  -- As src/core/key.h has it: the length of the keyspace in 8 little-endian bytes, the keyspace, the text.
  local function by_hand(keyspace, text) return ("<I8"):pack(#keyspace) .. keyspace .. text end

  local keys <const> = { { "", "abc" }, { "users", "17" }, { "east\0users", "17" }, { "", "a\0b" }, { "users", "-3" },
    { "u", "sers17" }, { "", ("x"):rep(512) }, { ("k"):rep(300), ("x"):rep(512) } }

  it("is the start of SHA-256 over keyspace and text", function()
    for _, key in ipairs(keys) do
      local said = outside("sha256sum", by_hand(key[1], key[2]))
      assert.equal(said:sub(1, 32), hex(core.digest(key[1], key[2])))
      assert.equal(16, #core.digest(key[1], key[2]))
    end
  end)

  it("with a secret is the start of the HMAC", function()
    for _, key in ipairs(keys) do
      for _, secret in ipairs { "s3cret", ("s"):rep(64), ("s"):rep(100) } do
        local whole = core.sha256(by_hand(key[1], key[2]), secret)
        assert.equal(hex(whole:sub(1, 16)), hex(core.digest(key[1], key[2], secret)))
      end
    end
  end)

  it("never takes one key for another", function()
    local seen = {}
    for _, space in ipairs { "", "a", "ab", "a\0", "1" } do
      for _, text in ipairs { "b", "ab", "1", "\0a", "a", "17", "7" } do
        local digest = core.digest(space, text)
        assert.is_nil(seen[digest])
        seen[digest] = true
      end
    end
  end)

  it("is the same from one version to the next", function()
    assert.equal("f3652e4ce938bb9965f62c3ca4d8f693", hex(core.digest("", "abc")))
    assert.equal("8e94555850d664f8cf49c732837483b4", hex(core.digest("users", "17")))
  end)
end)

describe("core.decimal", function()
  local integers <const> = {
    { "0", 0 }, { "7", 7 }, { "17", 17 }, { "-1", -1 }, { "-17", -17 },
    { "9223372036854775807", math.maxinteger }, { "-9223372036854775808", math.mininteger },
    { "1000000000000000000", 1000000000000000000 },
  }
  local others <const> = { "", "-", "+1", "01", "00", "-0", "-01", "1.0", "1e3", " 1", "1 ", "0x1", "a", "1a", "1\0",
    "½",
    "9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999",
    "100000000000000000000000000000000000000", "--1" }

  it("reads canonical digits", function()
    for _, case in ipairs(integers) do
      assert.equal(case[2], core.decimal(case[1]))
      assert.equal("integer", math.type(core.decimal(case[1])))
    end
  end)

  it("reads nothing else", function()
    for _, text in ipairs(others) do assert.is_nil(core.decimal(text), text) end
  end)

  it("is the inverse of tostring for integers", function()
    for shift = 0, 63 do
      for _, n in ipairs { 1 << shift, (1 << shift) - 1, -(1 << shift) } do
        assert.equal(n, core.decimal(tostring(n)))
      end
    end
  end)
end)

describe("core.hash", function()
  it("is a whole number of at least 0, the same for the same text", function()
    for i = 1, 1000 do
      local h = core.hash("k" .. i)
      assert.is_true(math.type(h) == "integer" and h >= 0)
      assert.equal(h, core.hash("k" .. i))
    end
  end)

  it("is XXH3-64, halved, in every version", function()
    assert.equal(0x78af5f94892f3950 >> 1, core.hash "abc") -- as xxhsum -H3 prints it
    assert.equal(1622210670741801569, core.hash "")
  end)

  it("spreads over any number of places", function()
    for _, n in ipairs { 2, 3, 7, 31, 32 } do
      local counts = {}
      for i = 1, 3100 do
        local place = core.hash("key" .. i) % n
        counts[place] = (counts[place] or 0) + 1
      end
      for place = 0, n - 1 do
        local share = (counts[place] or 0) / (3100 / n)
        assert.is_true(share > 0.6 and share < 1.4, ("%d of %d: %.2f"):format(place, n, share))
      end
    end
  end)
end)

describe("core.key", function()
  it("is a value of its own with keyspace and text", function()
    local key = core.key("users", "17", "users:17")
    assert.equal("users:17", tostring(key))
    assert.same({ "users", "17" }, { core.key_parts(key) })
    assert.equal(0, select("#", core.key_parts "17"))
    assert.equal(key, core.key("users", "17", "another label"))
    assert.not_equal(key, core.key("user", "s17", "users:17"))
  end)
end)
