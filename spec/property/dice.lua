-- Random numbers from a seed, the same on every machine and whatever else asks math.random for some (splitmix64).

local dice = {}

local Dice = {}
Dice.__index = Dice

---@param seed integer
function dice.new(seed) return setmetatable({ state = seed }, Dice) end

function Dice:next()
  self.state = self.state + 0x9e3779b97f4a7c15
  local z = self.state
  z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
  z = (z ~ (z >> 27)) * 0x94d049bb133111eb
  return z ~ (z >> 31)
end

---@return integer # from 1 to n, or from `n` to `m`
function Dice:roll(n, m)
  if m then return n + self:roll(m - n + 1) - 1 end
  return (self:next() >> 1) % n + 1
end

---@param one_in number
function Dice:chance(one_in) return self:roll(1000000) <= 1000000 / one_in end

function Dice:pick(list) return list[self:roll(#list)] end

---Some of a list, none twice.
function Dice:some(list, count)
  local rest, out = table.move(list, 1, #list, 1, {}), {}
  for i = 1, math.min(count, #list) do out[i] = table.remove(rest, self:roll(#rest)) end
  return out
end

---@param weights { [1]: integer, [2]: any }[]
function Dice:weighted(weights)
  local sum = 0
  for _, each in ipairs(weights) do sum = sum + each[1] end
  local at = self:roll(sum)
  for _, each in ipairs(weights) do
    at = at - each[1]
    if at <= 0 then return each[2] end
  end
end

return dice
