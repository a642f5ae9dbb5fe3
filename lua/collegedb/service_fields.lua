--- The fields of values that name a service on the net, such as collegedb.d1{…}: each a test, and what it takes. The
-- value of a field is never shown: it may be a secret.

local errors = require "collegedb.errors"

local service_fields = {}

--- Cloudflare's REST interface.
service_fields.CLOUDFLARE = "https://api.cloudflare.com/client/v4"

---@param value any
---@return boolean
function service_fields.is_text(value) return type(value) == "string" and value:find "^[\33-\126]+$" ~= nil end

--- An id at Cloudflare, or the name of a Worker's binding.
---@param value any
---@return boolean
function service_fields.is_id(value) return type(value) == "string" and value:find "^[%w_-]+$" ~= nil end

local function is_seconds(value) return type(value) == "number" and value > 0 and value <= 86400 end

service_fields.id = { service_fields.is_id, "an id of letters, digits and dashes" }
service_fields.token = { service_fields.is_text, "printable characters without spaces" }
service_fields.endpoint = { service_fields.is_text, "a URL" }
service_fields.ca_file = { service_fields.is_text, "a file's path" }
service_fields.deadline = { is_seconds, "seconds, above 0 and up to 86,400" }

---Raises CONFIG where a field is not known, or its value is not what it takes.
---@param given any
---@param fields table<string, { [1]: (fun(value: any): boolean), [2]: string }>
---@param what string is given
---@param said string? how the message about a value begins (what)
function service_fields.check(given, fields, what, said)
  if type(given) ~= "table" then errors.raise("CONFIG", nil, "%s takes a table, not a %s", what, type(given)) end
  for field, value in pairs(given) do
    if not fields[field] then errors.raise("CONFIG", nil, "%s has no field %s", what, tostring(field)) end
    if not fields[field][1](value) then
      errors.raise("CONFIG", { field = field }, "%s: %s takes %s", said or what, field, fields[field][2])
    end
  end
end

return service_fields
