-- A service of many tenants, each with all of its rows on one shard: joins and transactions of a tenant work as in one
-- database, and a tenant who grows is moved to a shard of his own while others go on.
--
--   collegedb examples/tenants/service.lua [FOLDER]     its files are made in FOLDER, or here

local collegedb = require "collegedb"

local here = arg[0]:match "^(.*)/[^/]*$" or "."
local folder = arg[1] or "."

local db <close> = collegedb.open {
  kv = folder .. "/directory.db",
  shards = {
    { name = "one", folder .. "/one.db" },
    { name = "two", folder .. "/two.db" },
    { name = "large", folder .. "/large.db", allocate = false }, -- no tenant comes here by himself
  },
  rules = "tenants", -- every table with a column `tenant` follows its tenant: rules/tenants.lua
  script_dirs = { here .. "/.." },
}
db:ensure_schema [[
  CREATE TABLE IF NOT EXISTS tenants (name TEXT PRIMARY KEY, plan TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, email TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS invoices (number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, cents INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS users_tenant ON users (tenant);
  CREATE INDEX IF NOT EXISTS invoices_tenant ON invoices (tenant);
]]

-- The tenant's name is the key of every statement.
local function sign_up(tenant, email)
  return db:transaction(tenant, function(tx)
    tx:run("INSERT OR IGNORE INTO tenants VALUES (?, 'small')", { tenant })
    tx:run("INSERT OR IGNORE INTO users VALUES (?, ?, ?)", { tenant .. "/" .. email, tenant, email })
  end)
end

local function bill(tenant, cents)
  db:batch(tenant, {
    { "INSERT INTO invoices (tenant, cents) VALUES (?, ?)", { tenant, cents } },
    { "UPDATE tenants SET plan = 'paid' WHERE name = ?", { tenant } },
  })
end

-- A join, as ever: it sees the tenant's shard, and all that the tenant has is there.
local SUMMARY <const> = [[SELECT (SELECT count(*) FROM users WHERE tenant = t.name) AS users,
  (SELECT coalesce(sum(cents), 0) FROM invoices WHERE tenant = t.name) AS cents FROM tenants AS t WHERE t.name = ?]]

local function show(tenant)
  local row = assert(db:first(tenant, SUMMARY, { tenant }))
  print(("%-7s %d users, %.2f billed, on %s"):format(tenant, row.users, row.cents / 100, (db:locate(tenant))))
end

local tenants <const> = { "acme", "banner", "emerald", "fontana" }
for _, tenant in ipairs(tenants) do
  for _, email in ipairs { "ada@x", "ben@x" } do sign_up(tenant, email) end
  bill(tenant, 1250)
end
for _, tenant in ipairs(tenants) do show(tenant) end

-- All rows of all tables go along; a write to this tenant waits for some milliseconds, and nobody else's does.
local report = db:reassign_shard("acme", "large")
print(("acme: %d rows moved"):format(report.rows))
show "acme"
