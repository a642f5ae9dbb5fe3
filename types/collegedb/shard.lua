---@meta _

-- One shard, past the router, and transactions.

---A handle on one shard: `db:shard(name)`. Statements run there, whatever their key is.
---@class collegedb.Shard: userdata
---@field private opaque true
local Shard = {}

---Runs one statement.
---
---Raises `USAGE` (two statements, BEGIN or ATTACH, wrong parameters), `SQL`, `CONSTRAINT`, `BUSY` (locked; or a
---transaction of this handle is open), `READONLY`, `FULL`, `TOO_LARGE`, `CORRUPT`, `CLOSED`; over HTTP also
---`UNAVAILABLE`, `TIMEOUT`, `OUTCOME_UNKNOWN`, `RATE_LIMITED`, `AUTH`.
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function Shard:run(sql, params) end

---The first row, or nil.
---
---Raises what `shard:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row?
function Shard:first(sql, params) end

---All rows.
---
---Raises what `shard:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row[]
function Shard:all(sql, params) end

---The rows one at a time: `for row in shard:each(sql, params) do … end`. The statement ends with the loop.
---
---Raises what `shard:run` raises; inside the loop `CLOSED` when the database was closed.
---@param sql string
---@param params? collegedb.Params
---@return fun(): collegedb.Row? next
---@return nil
---@return nil
---@return collegedb.Closable closing ends it with the loop
function Shard:each(sql, params) end

---Runs a script of many statements.
---
---Raises `USAGE` (ATTACH; BEGIN inside a transaction; a transaction that the script leaves open), `SQL` and what else
---a statement raises. What came before the failing statement stays.
---@param script string
function Shard:exec(script) end

---Runs statements, all or none.
---
---Raises what `shard:run` raises; `UNSUPPORTED` on a D1 database over REST.
---@param statements collegedb.Statement[]
---@return collegedb.Result[] results one for each
function Shard:batch(statements) end

---Calls `f(tx)` in a transaction: committed when it returns, rolled back when it raises. It begins IMMEDIATE, and is
---never run twice. Until it ends, other calls of this handle raise `BUSY`.
---
---Raises what `f` raises; `BUSY`; `UNSUPPORTED` on a D1 database.
---@generic R
---@param f fun(tx: collegedb.Transaction): R?
---@return R # what `f` returns
function Shard:transaction(f) end

---The size of the database in bytes.
---
---Raises `CLOSED`, and what a statement raises.
---@return integer bytes
function Shard:size() end

---A transaction, or a savepoint in one: what the function of `transaction` gets. It ends with that function.
---@class collegedb.Transaction: userdata
local Transaction = {}

---Runs one statement.
---
---Raises what `shard:run` raises; `CLOSED` when the transaction has ended, `BUSY` while an inner one is open, `MOVED`
---when the key it was routed by has moved away (the whole transaction is rolled back, and may be tried again).
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function Transaction:run(sql, params) end

---The first row, or nil.
---
---Raises what `tx:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row?
function Transaction:first(sql, params) end

---All rows.
---
---Raises what `tx:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row[]
function Transaction:all(sql, params) end

---The rows one at a time: `for row in tx:each(sql, params) do … end`.
---
---Raises what `tx:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return fun(): collegedb.Row? next
---@return nil
---@return nil
---@return collegedb.Closable closing ends it with the loop
function Transaction:each(sql, params) end

---Runs a script of many statements; BEGIN, COMMIT and ROLLBACK in it are `USAGE`.
---
---Raises what `tx:run` raises.
---@param script string
function Transaction:exec(script) end

---A savepoint: `f(tx)` is undone when it raises, and the transaction around it goes on if that is caught.
---
---Raises what `f` raises.
---@generic R
---@param f fun(tx: collegedb.Transaction): R?
---@return R # what `f` returns
function Transaction:transaction(f) end
