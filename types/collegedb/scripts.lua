---@meta _

-- Scripts that users write: docs/scripts.md is their contract. A file returns one of these tables:
--
--     ---@type collegedb.Strategy
--     return { name = "mine", api = 1, select = function(key, shards, ctx) return shards[1].name end }

-- --- strategies -----------------------------------------------------------------------------------

---The strategies that come along, or the name of a script of yours. `-` and `_` are one.
---@alias collegedb.StrategyName "hash"|"round_robin"|"round-robin"|"random"|"location"|"hash_compat"|string

---A file `strategies/NAME.lua`, or the table itself in the config.
---@class collegedb.Strategy
---@field name? string for messages
---@field api? 1 the version of the contract
---@field select collegedb.SelectFunction

---Where a new key goes: returns the name of one of `shards`.
---@alias collegedb.SelectFunction fun(key: string|integer, shards: collegedb.ShardView[], ctx: collegedb.StrategyContext): string

---One strategy for statements whose key is nowhere, another for new keys.
---@class collegedb.StrategyPair
---@field read collegedb.StrategyName|collegedb.SelectFunction|collegedb.Strategy
---@field write collegedb.StrategyName|collegedb.SelectFunction|collegedb.Strategy

---A shard that may take the key. The array is a fresh one, in config order, and may be changed.
---@class collegedb.ShardView
---@field name string
---@field keys integer how many live there, at most 10 s old
---@field size integer bytes, at most 10 s old
---@field region? collegedb.Region
---@field priority? integer
---@field weight number

---@class collegedb.StrategyContext
---@field operation "read"|"write" `write`: an INSERT asks, and the key gets the place
---@field table? string the statement's table
---@field target_region? collegedb.Region
---@field hash fun(s: string): integer at least 0, the same in every program
---@field random fun(n: integer): integer from 1 to n
---@field turn fun(name: string?): integer 0, 1, 2, … across all programs

-- --- rules ------------------------------------------------------------------------------------------

---A file `rules/NAME.lua`, or the table itself in the config. What it leaves out comes from the default rules.
---@class collegedb.Rules
---@field name? string for messages
---@field api? 1 the version of the contract
---@field table? collegedb.TableRule what a table's key is
---@field conflict? collegedb.ConflictRule what a key on two shards means

---Is called once for each table of each shard. `false` and a reason: it is left out on purpose; nil and a reason: no
---key was found.
---@alias collegedb.TableRule fun(info: collegedb.TableInfo, catalog: table<string, collegedb.TableInfo>): collegedb.TableKey|false|nil, string?

---`"keep"`: it is as it should be; `"error"`: it is a conflict.
---@alias collegedb.ConflictRule fun(key: string|integer, mapped: string, found: string, table_name: string): "keep"|"error"

---What a rule answers.
---@class collegedb.TableKey
---@field key_column? string the column whose value is the key of a row
---@field keyspace? string of integer keys: tables with the same one share their keys
---@field group? collegedb.Group rows are where the row of `parent` is that `column` refers to
---@field reference? boolean each shard has its own copy of the table: it has no keys
---@field [string] collegedb.NoSuchField

---@class collegedb.TableInfo
---@field name string
---@field shard string
---@field kind "table"|"view"|"virtual"|"shadow"
---@field columns collegedb.ColumnInfo[]
---@field primary_key string[] names, in the order of the key
---@field foreign_keys { columns: string[], parent: string, parent_columns: string[], on_delete: string }[]
---@field unique { columns: string[] }[] UNIQUE constraints and indexes, the primary key among them
---@field triggers string[] names
---@field row_count integer counted when it is read

---@class collegedb.ColumnInfo
---@field name string
---@field type string
---@field notnull boolean
---@field pk integer the place in the primary key, from 1; 0: none
---@field generated boolean
---@field virtual boolean generated, and not stored
---@field collation string

-- --- policies ---------------------------------------------------------------------------------------

---A file `policies/NAME.lua`, or the table itself as an option of `db:rebalance`.
---@class collegedb.Policy
---@field name? string for messages
---@field api? 1 the version of the contract
---@field plan fun(shards: collegedb.PolicyShard[], ctx: collegedb.PolicyContext): collegedb.PolicyFunction is called once

---Is asked about every key: returns the name of the shard to which it goes, or nil: it stays.
---@alias collegedb.PolicyFunction fun(key: string|integer, from: string, info: collegedb.PolicyInfo): string?

---@class collegedb.PolicyShard: collegedb.ShardView
---@field allocate boolean takes new keys
---@field drained boolean

---@class collegedb.PolicyContext
---@field hash fun(s: string): integer at least 0, the same in every program
---@field random fun(n: integer): integer from 1 to n

---@class collegedb.PolicyInfo
---@field home? string the name of its home; nil under strategies that have none
---@field has_entry boolean the directory has an entry that it is there
---@field table string in which it was seen

-- --- workflows --------------------------------------------------------------------------------------

---A file `workflows/NAME.lua` (`integrate`, `rebalance`, `drain`): it overrides steps by their names.
---@class collegedb.Workflow
---@field name? string for messages
---@field api? 1 the version of the contract
---@field steps? string[] the names of the steps, in order
---@field [string] collegedb.WorkflowStep|any

---A step. `state` is plain data, which is kept between steps.
---@alias collegedb.WorkflowStep fun(state: table, ctx: collegedb.WorkflowContext)

---@class collegedb.WorkflowContext
---@field name? string the shard that is integrated
---@field shard? fun(name: string?): collegedb.Shard its handle, or that of another one
---@field rules? collegedb.Rules
---@field db? collegedb.Database of `rebalance` and `drain`
---@field report? collegedb.RebalanceReport of `rebalance` and `drain`
---@field options table of the call
---@field progress fun(done: integer?, total: integer?, label: string?) tells `on_progress`
---@field cancelled? fun(): boolean whether that has answered `false`
---@field stop fun() does not return: ends the run, which may be resumed
---@field again? fun() does not return: begins at the first step

-- --- commands ---------------------------------------------------------------------------------------

---A file `NAME.lua` or `commands/NAME.lua`: what `collegedb NAME` does.
---@class collegedb.Command
---@field summary string one line for `collegedb help`
---@field usage? string the arguments, as one would write them
---@field description? string more, for `--help`
---@field group? string the title under which `collegedb help` lists it
---@field examples? { [1]: string, [2]: string }[] command lines, and what they do
---@field exits? table<integer, string> exit statuses of its own, and what they mean
---@field resume? true|fun(ctx: collegedb.CommandContext): string[]? what goes on after Ctrl-C: the same words, or these
---@field auto_migrate? boolean `false`: opening the database takes no existing rows over
---@field options? fun(parser: table) adds arguments to a parser of lua-argparse
---@field run fun(ctx: collegedb.CommandContext): integer? returns the exit status: 0 or nothing, 1 failed, 2 wrong usage, 3 findings, 130 interrupted

---@class collegedb.CommandContext
---@field name string
---@field args table what the parser made of the arguments
---@field config collegedb.Config read at its first use
---@field db collegedb.Database opened at its first use, closed at the end
---@field progress fun(done: integer?, total: integer?, label: string?) a bar on a terminal, with the rate and what remains; without arguments it is taken away
---@field print_table fun(rows: table[], columns: string[]?) rows in columns, or as JSON with `--json`
---@field print_json fun(value: any) one line of JSON
---@field usage_error fun(message: string) ends the command with status 2

---@class collegedb.Group
---@field parent string
---@field column string
---@field [string] collegedb.NoSuchField
