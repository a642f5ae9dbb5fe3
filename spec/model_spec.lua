-- The models of moving and growing, as far as they are searched in a moment; make model searches all.

local sanitize = os.getenv "CDB_SANITIZE" or ""

describe("the model of moving and growing", function()
  it("holds, and fails where a rule is left out", function()
    if sanitize ~= "" then pending "nothing of the library is in it" end
    if not os.execute "command -v spin >/dev/null" then
      assert.is_nil(os.getenv "CI", "spin is not installed")
      pending "spin is not installed"
    end
    local pipe <close> = assert(io.popen "spec/model/check quick 2>&1")
    local text = pipe:read "a"
    assert.matches("\n22 passed, 0 failed\n$", "\n" .. text)
  end)
end)
