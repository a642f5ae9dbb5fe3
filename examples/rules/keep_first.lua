-- Rules for files that hold some of the same rows: a customer who is in two of them stays with the first file that was
-- taken over, and that is no conflict. The row in the other file stays there and is not reached by the key.
--
--     rules = "keep_first", script_dirs = { "examples" }
--
-- `base` is what this shadows: the default rules, whose `table` goes on saying what a table's key is.

local base = ...

return setmetatable({
  name = "keep_first", api = 1,

  -- The key as you write it, and the names of the shards: where it stands, and where it was found too.
  conflict = function(key, mapped, found)
    -- Numbers that two files gave out by themselves are different things under one name: that stays an error.
    if math.type(key) == "integer" then return "error" end
    return "keep"
  end,
}, { __index = base })
