-- A customer's rows go to the shard nearest to the country with which his key begins ("de:1017"); a key that says no
-- country goes to the shard nearest to the config's target_region.

local location = require "collegedb.strategies.location"

local REGION_OF <const> = { de = "weur", fr = "weur", pl = "eeur", us = "enam", jp = "apac", au = "oc", ke = "af" }

return {
  name = "by_country", api = 1,
  select = function(key, shards, ctx)
    local target = REGION_OF[tostring(key):match "^(%l%l):"] or ctx.target_region
    -- What comes along does the rest: distances, `priority` among shards of one region, the hash among equals.
    return location.select(key, shards, setmetatable({ target_region = target }, { __index = ctx }))
  end,
}
