-- Certificates: only one that the machine trusts, for the name that was asked for, is good.

local core = require "collegedb.core"
local net = require "collegedb.net"
local process = require "spec.support.process"

describe("TLS", function()
  local folder, servers

  -- A certificate for `name`, signed by itself; returns its path without the ends .key and .pem.
  local function make_certificate(name)
    local base = folder .. "/" .. name
    local made = process.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes", "-keyout", base .. ".key", "-out", base .. ".pem", "-days", "2", "-subj", "/CN=" .. name,
      "-addext", "subjectAltName=DNS:" .. name }
    assert(made.status == 0, made.stderr)
    return base
  end

  -- A server with such a certificate; returns its port and the certificate's file.
  local function serve(name)
    local base = make_certificate(name)
    local pipe = assert(io.popen(("exec timeout 60 openssl s_server -accept 127.0.0.1:0 -www -key %s.key -cert %s.pem "
      .. "</dev/null 2>&1 & echo $!; wait"):format(base, base)))
    local id, port = pipe:read "l", nil
    for line in pipe:lines() do
      port = line:match "^ACCEPT.*:(%d+)"
      if port then break end
    end
    servers[#servers + 1] = { id = id, pipe = pipe }
    return assert(port), base .. ".pem"
  end

  setup(function()
    folder, servers = process.new_folder(), {}
  end)

  teardown(function()
    net.close()
    for _, server in ipairs(servers) do
      os.execute("kill " .. server.id)
      server.pipe:close()
    end
    process.remove(folder)
  end)

  local function ask(port, ca_file)
    return net.perform({ { url = "https://localhost:" .. port .. "/", write = true, body = "x", deadline = 5,
      method = "GET", ca_file = ca_file } })[1]
  end

  it("is made with a certificate that is trusted", function()
    local port, file = serve("localhost")
    local got = ask(port, file)
    assert.is_nil(got.error)
    assert.equal(200, got.status)
  end)

  it("is not made with one that nobody has signed, and nothing was sent", function()
    local got = ask((serve("localhost")))
    assert.same({ "CERTIFICATE", "UNAVAILABLE", false, 1 }, { got.cause, got.error.code, got.sent, got.attempts })
  end)

  it("is not made with one for another name", function()
    local port, file = serve("other.example")
    local got = ask(port, file)
    assert.same({ "CERTIFICATE", false }, { got.cause, got.sent })
  end)

  it("speaks HTTP/2: reads share one connection, a write has its own and is not sent again", function()
    if not os.execute "command -v node >/dev/null" then
      assert(not os.getenv "CI", "there is no node")
      return pending "there is no node"
    end
    local base = make_certificate "localhost"
    local out = folder .. "/http2"
    local pipe = assert(io.popen(("exec env -u LD_PRELOAD timeout 60 node spec/support/http2_server.mjs %s.key %s.pem "
      .. ">%s 2>&1"):format(base, base, out), "w"))
    local port
    local tries = 0
    repeat
      core.pause(20)
      tries = tries + 1
      port = (process.read(out) or ""):match "^(%d+)\n"
    until port or tries > 500
    local function request(path, write)
      return { url = "https://localhost:" .. assert(port) .. path, body = "{}", write = write, deadline = 5,
        ca_file = base .. ".pem" }
    end
    local function counts()
      local body = net.request(request("/counts", false)).body
      return tonumber(body:match '"sessions":(%d+)'), tonumber(body:match '"streams":(%d+)')
    end

    local requests = {}
    for i = 1, 16 do requests[i] = request("/", false) end
    for _, got in ipairs(net.perform(requests)) do assert.is_nil(got.error) end
    local sessions, streams = counts()
    assert.same({ 1, 16 }, { sessions, streams })

    assert.is_nil(net.perform({ request("/", true) })[1].error)
    assert.same({ 2, 17 }, { counts() })

    assert.is_nil(net.perform({ request("/goaway", false) })[1].error)
    streams = select(2, counts())
    assert.equal(19, streams)

    local refused = net.perform({ request("/refuse", true) })[1]
    streams = select(2, counts())
    assert.same({ 20, "OUTCOME_UNKNOWN" }, { streams, refused.error and refused.error.code })
    pipe:close()
  end)
end)
