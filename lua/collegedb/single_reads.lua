--- Reads that ask a shard many things in one statement, where each statement costs a request.

local single_reads = {}

local COLUMNS <const> = 40 -- of a statement: D1 has at most 100, and the statement may be long

--- Is any of these conditions true? They share their parameters.
---@param reader userdata
---@param conditions string[] SQL
---@param params table
---@return boolean
function single_reads.any(reader, conditions, params)
  for at = 1, #conditions, COLUMNS do
    local columns = {}
    for i = at, math.min(at + COLUMNS - 1, #conditions) do
      columns[#columns + 1] = ("%s AS c%d"):format(conditions[i], i)
    end
    local row = reader:first("SELECT " .. table.concat(columns, ", "), params)
    for _, value in pairs(row) do
      if value ~= 0 then return true end
    end
  end
  return false
end

return single_reads
