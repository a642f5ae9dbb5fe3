local json = require "collegedb.json"

describe("json.encode", function()
  local cases = {
    { math.mininteger, "-9223372036854775808" },
    { math.maxinteger, "9223372036854775807" },
    { 9007199254740993, "9007199254740993" },
    { 1.0, "1.0" },
    { -0.0, "-0.0" },
    { 0.1, "0.1" },
    { 1e300, "1e+300" },
    { 1 / 3, "0.3333333333333333" },
    { 0 / 0, "null" },
    { -1 / 0, "null" },
    { nil, "null" },
    { json.null, "null" },
    { true, "true" },
    { "é\u{10FFFF}", '"é\u{10FFFF}"' },
    { 'a"b\\c/\n\r\t\b\f\0\31\127', [["a\"b\\c/\n\r\t\b\f\u0000\u001f\u007f"]] },
    { "\xff\0", '{"$blob":"ff00"}' },
    { "\xed\xa0\x80", '{"$blob":"eda080"}' },
    { {}, "[]" },
    { json.object {}, "{}" },
    { { 1, { 2 }, "x" }, '[1,[2],"x"]' },
    { { b = 1, a = { c = json.null } }, '{"a":{"c":null},"b":1}' },
    { { 1, nil, 3 }, '{"1":1,"3":3}' },
    { { [2] = "x", y = 1 }, '{"2":"x","y":1}' },
    { setmetatable({ 1 }, { __tostring = function() return "users:17" end }), '"users:17"' },
  }

  it("writes every kind of value", function()
    for _, case in ipairs(cases) do assert.equal(case[2], json.encode(case[1])) end
  end)

  it("writes floats so that they read back the same", function()
    local seed = 1
    for _ = 1, 2000 do
      seed = seed * 6364136223846793005 + 1442695040888963407
      local float = string.unpack("d", string.pack("j", seed))
      if float == float and math.abs(float) ~= math.huge then
        assert.equal(float, tonumber(json.encode(float)))
      end
    end
  end)

  it("refuses what JSON has no word for", function()
    local cycle = {}
    cycle.self = cycle
    assert.error_matches(function() json.encode(cycle) end, "nested too deep")
    assert.error_matches(function() json.encode { print } end, "a function can not be written as JSON")
    assert.error_matches(function() json.encode { 1, ["1"] = 2 } end, 'written as "1"')
  end)
end)
