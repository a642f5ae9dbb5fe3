-- The text of a slow statement was cut in the middle of a character: no text that a log or JSON could take.

local fixture = require "spec.support.fixture"

describe("regression 392:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("a long text is cut between characters", function()
    local texts = {}
    local db = fixture.open(fixture.config { slow_query = 1e-6,
      on_event = function(event) if event.event == "slow" then texts[#texts + 1] = event.sql end end })
    for shift = 0, 3 do
      for _, character in ipairs { "x", "é", "€", "😀" } do
        local text = ("x"):rep(shift) .. character:rep(600)
        db:shard("a"):first("SELECT '" .. text .. "' AS text, hex(randomblob(10000)) AS work")
      end
      db:first("k", "SELECT 1", {})
    end
    local cut = 0
    for _, text in ipairs(texts) do
      assert.is_truthy(utf8.len(text), text)
      if text:find " …$" then cut = cut + 1 end
    end
    assert.equal(16, cut)
  end)
end)
