-- A new key goes to the shard that has the fewest. Counts are up to ten seconds old: of many keys inserted at once, all
-- go to one shard, and it evens out later.
return {
  name = "least_keys", api = 1,
  select = function(key, shards, ctx)
    table.sort(shards, function(a, b)
      if a.keys ~= b.keys then return a.keys < b.keys end
      return a.name < b.name
    end)
    return shards[1].name
  end,
}
