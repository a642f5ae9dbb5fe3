-- The line that shows how far a long command is.

local progress = require "collegedb.command_progress"

describe("progress", function()
  local line, written, now, width

  before_each(function()
    written, now, width = {}, 1000000, 100
    line = progress.new(function(text) written[#written + 1] = text end)
    line.clock = function() return now end
    line.width = function() return width end
  end)

  local function after(ms, ...)
    local count = #written
    now = now + ms
    line:show(...)
    if #written == count then return nil end
    local text = written[#written]
    assert.equal("\r\27[K", text:sub(1, 4))
    return (text:sub(5):gsub("█", "#"):gsub("░", "."))
  end

  it("shows a bar, the share, how much, how fast, and how long still", function()
    assert.equal("rows  ....................  0 %  0 of 2000", after(0, 0, 2000, "rows"))
    assert.equal("rows  #####...............  25 %  500 of 2000  500/s  3.0 s left", after(1000, 500, 2000, "rows"))
    assert.equal("rows  ####################  100 %  2000 of 2000  1500/s", after(1e9, 2000, 2000, "rows")
      :gsub("  0%.0/s$", "  1500/s"))
  end)

  it("is drawn ten times a second at most, but at once where another phase begins", function()
    assert.is_truthy(after(0, 1, nil, "looking"))
    assert.is_nil(after(50, 2, nil, "looking"))
    assert.is_nil(after(49, 3, nil, "looking"))
    assert.equal("looking  5  40/s", after(1, 5, nil, "looking"))
    assert.equal("moving  0 %  0 of 10", after(0, 0, 10, "moving"):gsub("%.+  ", ""))
  end)

  it("has a rate of the last seconds, not of all time", function()
    after(0, 0, 1e6, "x")
    for i = 1, 100 do after(1000, i, 1e6, "x") end
    for i = 1, 15 do after(1000, 100 + i * 1000, 1e6, "x") end
    local rate = tonumber(written[#written]:match "  ([%d.]+)/s")
    assert.is_true(rate > 900 and rate <= 1000)
  end)

  it("fits the terminal, and takes more than all for all", function()
    width = 30
    after(0, 0, 4000, "a label")
    local text = after(1000, 1000, 4000, "a label")
    assert.equal("a label  25 %  1000 of 4000  1", text .. "1")
    width = 12
    assert.equal("ä long labe", after(0, 0, 1, "ä long label"))
    width = 100
    assert.matches("100 %%  7 of 5", after(0, 7, 5, "y"))
    assert.equal("z  7", after(0, 7, 0, "z"))
  end)

  it("is taken away once, if it was shown", function()
    line:clear()
    assert.same({}, written)
    after(0, 1)
    line:clear()
    line:clear()
    assert.same({ "\r\27[K1", "\r\27[K" }, written)
  end)
end)
