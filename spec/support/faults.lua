-- A web server that goes wrong as a spec tells it (fault_server.c), and the answers it goes wrong with.
--
--     before_each(faults.start)
--     after_each(faults.stop)

local fault_server = require "fault_server"

local faults = {}

local server, number

function faults.start()
  server, number = fault_server.start(), 0
end

function faults.stop()
  server:stop()
  server = nil
end

---@return string # the address of the server, or of its port "reset", "deaf" or "refuse"
function faults.origin(port) return "http://127.0.0.1:" .. server:port(port or "plain") end

---Begins to listen on the port "refuse" in so many ms.
function faults.listen(ms) server:listen(ms) end

---A path that does the steps in turn, the last one from then on.
---@param ... table steps; see fault_server.c
---@return string path
function faults.play(...)
  number = number + 1
  local path = "/p" .. number
  server:play(path, { ... })
  return path
end

---Plays the steps on exactly this path.
function faults.play_at(path, ...) server:play(path, { ... }) end

---Stands before a real service: what has no play of its own is handed on to it, until the network is told otherwise.
---@param endpoint string of the service, on this machine
---@return string # the same of this server
function faults.stand_before(endpoint)
  local port, path = endpoint:match "^http://[^/:]+:(%d+)(.*)$"
  server:pass_to(tonumber(port))
  faults.network()
  return faults.origin() .. path
end

---The steps that requests from now on take in turn; then all is well.
function faults.network(...)
  local steps = { ... }
  steps[#steps + 1] = { pass = true }
  server:play("*", steps)
end

---The n-th request from now on meets the step, those before and after it are handed on.
function faults.at(n, step)
  if n == 1 then return faults.network(step) end
  faults.network({ pass = true, times = n - 1 }, step)
end

---How many requests for the path arrived in full, and the last one.
function faults.count(path) return server:count(path) end
function faults.seen(path) return server:seen(path) end

---The bytes of an answer.
---@param status integer
---@param body string?
---@param headers string? whole lines
function faults.answer(status, body, headers)
  body = body or ""
  return ("HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s")
    :format(status, headers or "", #body, body)
end

---A step that answers so and keeps the connection.
function faults.answers(status, body, headers)
  return { send = faults.answer(status, body, headers), ending = "keep" }
end

---@param status integer
---@return table # a step that answers as a gateway in between does
function faults.html(status)
  local body = "<html><head><title>" .. status .. "</title></head><body>Something went wrong</body></html>"
  local head = "HTTP/1.1 %d Whatever\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
  return { send = head:format(status, #body, body), ending = "keep" }
end

---Body bytes in chunks, ended or not.
function faults.chunked(body, ended)
  return ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%s")
    :format(#body, body, ended and "0\r\n\r\n" or "")
end

return faults
