--- Makes a Lua value of any bytes: each byte is a constant of a list, or says what follows.
--
--   ( … )  a table; what stands in it is appended, or is a key and a value behind `=`
--   "      a length and so many bytes: a string
--   #  $   eight bytes: a float, an integer
--
-- The last value stands as often as it is asked for, so that the bytes never run out.

local decode = {}

---@param constants any[] from 1; nil stands in as decode.NIL
---@param text string
---@return any
function decode.value(constants, text)
  local at = 1
  local value

  local function byte()
    local c = text:byte(at)
    at = at + 1
    return c
  end

  local function eight(form)
    local piece = text:sub(at, at + 7)
    at = at + 8
    return (string.unpack(form, piece .. ("\0"):rep(8 - #piece)))
  end

  local function text_of_length()
    local size = byte() or 0
    local piece = text:sub(at, at + size - 1)
    at = at + size
    return piece
  end

  local function table_of(depth)
    local t, count = {}, 0
    while at <= #text and text:byte(at) ~= 41 do
      if text:byte(at) == 61 then
        at = at + 1
        local key = value(depth + 1)
        local held = value(depth + 1)
        if key ~= nil and key == key then t[key] = held end
      else
        count = count + 1
        t[count] = value(depth + 1)
      end
    end
    at = at + 1
    return t
  end

  function value(depth)
    local c = byte()
    if not c then return nil end
    if c == 40 and depth < 20 then return table_of(depth) end
    if c == 34 then return text_of_length() end
    if c == 35 then return eight "<d" end
    if c == 36 then return eight "<i8" end
    local constant = constants[c % #constants + 1]
    if constant == decode.NIL then return nil end
    return constant
  end

  return value(0)
end

decode.NIL = {}

return decode
