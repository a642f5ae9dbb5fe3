---@meta _

-- Values that go in and out: keys, parameters, rows, results.

---NULL as a parameter: `collegedb.null`.
---@class collegedb.Null: lightuserdata
---@field private opaque true

---A BLOB as a parameter: what `collegedb.blob` returns. `#blob` is its length in bytes.
---@class collegedb.Blob: userdata
---@field private opaque true

---What `db:key(table, id)` returns: a key that says of which table it is. `tostring(key)` is `users:17`; two of them
---are equal (`==`) if they are the same key.
---@class collegedb.Key: userdata
---@field private opaque true

---What decides the shard: a string of 1 to 512 bytes; an integer, which belongs to the statement's main table (a
---float with an integral value counts as one); or `db:key(table, id)`.
---@alias collegedb.KeyArgument string|integer|collegedb.Key

---A value for a parameter. Booleans are bound as 0 and 1, `collegedb.null` as NULL, `collegedb.blob(s)` as BLOB.
---@alias collegedb.Value string|number|boolean|collegedb.Null|collegedb.Blob

---The parameters of a statement: by position for `?`, or by name, `{ id = 1 }` for `:id`, `@id` and `$id`. One that
---is missing or superfluous is `USAGE`.
---@alias collegedb.Params collegedb.Value[]|table<string, collegedb.Value>

---A row by column name. NULL is an absent field. Integers stay integers, TEXT and BLOB are strings.
---@alias collegedb.Row table<string, any>

---A statement and its parameters.
---@class collegedb.Statement
---@field [1] string SQL, one statement
---@field [2]? collegedb.Params

---What a statement did.
---@class collegedb.Result
---@field success true a failure is raised
---@field results collegedb.Row[] the rows, if it returns some
---@field columns string[] their names in order; names that come twice are both here
---@field meta collegedb.ResultMeta

---@class collegedb.ResultMeta
---@field duration number milliseconds
---@field changes integer rows changed
---@field last_row_id? integer the rowid of the last row that was inserted
---@field served_by string the shard's name
---@field rows_read? integer D1 only
---@field rows_written? integer D1 only

---What ends a loop early, the fourth value of a `for`.
---@class collegedb.Closable

---How `db:locate` knows where a key is. `home`: computed from the key. `directory`: there is an entry. `found`: by
---its rows. `claimed`: given to that shard just now. `old home`: at home there before shards or weights were changed.
---`moved`: the shard says where it went. `unknown`: it is nowhere.
---@alias collegedb.Why "home"|"directory"|"found"|"claimed"|"old home"|"moved"|"unknown"

-- --- errors -----------------------------------------------------------------------------------

---What every failure raises. `tostring(err)` is one line that begins with `where` and the code.
---@class collegedb.Error
---@field code collegedb.ErrorCode
---@field message string what was wrong, and where it is known what would be right
---@field where? string file and line of the caller
---@field retryable boolean the same call may succeed later, unchanged
---@field shard? string
---@field key? any
---@field table? string
---@field sql? string
---@field field? string of the config, or of options
---@field kv_key? string the key in a table KV
---@field sqlite_code? integer SQLite's extended result code
---@field http_status? integer what a service answered
---@field retry_after? number seconds after which a service may be asked again
---@field cause? any what a script, a table KV or another error said
---@field results? table<string, collegedb.Result> of `db:run_all_shards`: the answers of the shards that did not fail
---@field failures? table<string, any> of `db:run_all_shards`: the errors, by shard
---@field unsuccessful? string[] of Workers KV: the keys that could not be written

---@alias collegedb.ErrorCode
---| "CONFIG" # the configuration is wrong
---| "USAGE" # a call's arguments are wrong
---| "SCRIPT" # a strategy, rule, workflow or config script failed
---| "NO_SHARDS" # no shard is open for this
---| "SHARD_NOT_FOUND" # no shard has this name
---| "TABLE_NOT_FOUND" # no shard has this table
---| "RECORD_NOT_FOUND" # no row has this key
---| "MAPPING_NOT_FOUND" # the key has no mapping
---| "CONFLICT" # one key was found in two places
---| "CONSTRAINT" # a constraint of the table refused the row
---| "SQL" # the statement could not be prepared or run
---| "BUSY" # the shard is locked by another connection or transaction
---| "MOVED" # the key moved to another shard meanwhile
---| "MOVING" # the key is being moved
---| "UNAVAILABLE" # the shard can not be reached
---| "TIMEOUT" # the deadline passed
---| "OUTCOME_UNKNOWN" # a write was sent and its answer was lost
---| "RATE_LIMITED" # the service asks to slow down
---| "AUTH" # the service refused the credentials
---| "READONLY" # the shard can not be written
---| "CORRUPT" # the file is no SQLite database, or damaged
---| "FULL" # there is no room left
---| "TOO_LARGE" # a value, statement or answer is over its limit
---| "UNSUPPORTED" # this kind of shard can not do that
---| "NOMEM" # memory ran out
---| "CLOSED" # the object was closed
---| "INTERNAL" # a fault of CollegeDB itself

---What a field that nobody knows would have to be: so a misspelt one is reported.
---@class collegedb.NoSuchField: userdata
---@field private opaque true
