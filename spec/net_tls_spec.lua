-- Certificates: only one that the machine trusts, for the name that was asked for, is good.

local net = require "collegedb.net"
local process = require "spec.support.process"

describe("TLS", function()
  local folder, servers

  -- A server with a certificate for `name`, signed by itself; returns its port and the certificate's file.
  local function serve(name, days)
    local base = folder .. "/" .. name
    local made = process.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes", "-keyout", base .. ".key", "-out", base .. ".pem", "-days", tostring(days), "-subj", "/CN=" .. name,
      "-addext", "subjectAltName=DNS:" .. name }
    assert(made.status == 0, made.stderr)
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
    local port, file = serve("localhost", 2)
    local got = ask(port, file)
    assert.is_nil(got.error)
    assert.equal(200, got.status)
  end)

  it("is not made with one that nobody has signed, and nothing was sent", function()
    local got = ask((serve("localhost", 2)))
    assert.same({ "CERTIFICATE", "UNAVAILABLE", false, 1 }, { got.cause, got.error.code, got.sent, got.attempts })
  end)

  it("is not made with one for another name", function()
    local port, file = serve("other.example", 2)
    local got = ask(port, file)
    assert.same({ "CERTIFICATE", false }, { got.cause, got.sent })
  end)
end)
