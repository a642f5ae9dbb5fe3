--- Brings each key to its home. One that has an entry stays where somebody put it, or found it.

return {
  name = "home",
  api = 1,
  plan = function()
    return function(_, from, info)
      if info.home and info.home ~= from and not info.has_entry then return info.home end
    end
  end,
}
