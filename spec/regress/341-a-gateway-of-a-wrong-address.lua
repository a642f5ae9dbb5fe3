-- A gateway's URL was looked at when it was used: until then one with a password in it was taken, and was printed.

local collegedb = require "collegedb"

describe("regress: a gateway of a wrong address", function()
  it("is refused, without a word of it", function()
    for _, url in ipairs { "https://user:pass-word@collegedb.example", "https://pass-word@collegedb.example",
      "http://localhost:8787@pass-word", "https://x.example/?pass-word", "https://x.example/#pass-word",
      "http://pass-word.example", "http://localhost.pass-word", "http://127.0.0.1.pass-word", "http:///pass-word",
      "https://", "pass-word" } do
      local done, err = pcall(collegedb.gateway, { url = url, token = "t" })
      assert.is_false(done, url)
      assert.is_true(collegedb.is_error(err, "CONFIG"), url)
      assert.equal("url", err.field)
      assert.is_nil(tostring(err):find("pass-word", 1, true), url)
    end
  end)

  it("is none of these", function()
    for _, url in ipairs { "https://collegedb.example", "https://collegedb.example:8443/below/",
      "http://localhost:8787", "http://localhost", "http://127.0.0.1:8787/", "http://127.0.0.1",
      "http://[::1]:8787" } do
      assert.equal("gateway " .. url:gsub("/$", ""), tostring(collegedb.gateway { url = url, token = "t" }))
    end
  end)
end)
