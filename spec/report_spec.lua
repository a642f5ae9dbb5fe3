-- collegedb report: the page and its data on real files, and the page as Chromium shows it.

local browser = require "spec.support.browser"
local collegedb = require "collegedb"
local fixture = require "spec.support.fixture"
local json_reader = require "collegedb.json_reader"
local page = require "collegedb.report_page"
local process = require "spec.support.process"
local report = require "collegedb.report"

local SCHEMA <const> = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT)"

local function fill(db, count, form)
  for i = 1, count do
    local key = (form or "user-%d"):format(i)
    db:insert(key, "INSERT INTO users VALUES (?, 'somebody')", { key })
  end
end

-- A database whose shards are uneven: `c` came late, and some keys of `a` and `b` are doubled.
local function uneven()
  local weights = { shards = { a = { weight = 2, region = "weur" } } }
  local db = fixture.database(SCHEMA, weights)
  fill(db, 120)
  db:close()
  db = fixture.database(nil, weights, { "a", "b", "c" })
  for i = 1, 120, 40 do
    local key = "user-" .. i
    local other = db:locate(key) == "a" and "b" or "a"
    db:shard(other):run("INSERT INTO users VALUES (?, 'a copy')", { key })
  end
  return db
end

local function histogram(counts)
  local h = { count = 0, sum = 0.0, buckets = {}, p50 = 2e-5, p90 = 1e-4, p99 = 2e-3, max = 3e-3 }
  for i, each in ipairs(counts) do
    h.buckets[i] = { from = each[1], to = each[1] * 2 ^ 0.25, count = each[2] }
    h.count = h.count + each[2]
  end
  return h
end

local function nothing() return { count = 0, sum = 0.0, buckets = {} } end

-- Figures that a spec knows: those of real statements differ each time.
local function with_figures(data)
  data.statistics = { programs = 3, since = data.made - 7800,
    cache = { hits = 950, misses = 50, hit_rate = 0.95, entries = 50, capacity = 1000000, bytes = 2048 } }
  for i, shard in ipairs(data.shards) do
    shard.measured = { name = shard.name, reads = 0, writes = 0, errors = 0, errors_by_code = {}, slow = 0,
      read = nothing(), write = nothing() }
    if i == 1 then
      shard.measured.read = histogram { { 1e-5, 300 }, { 2e-5, 600 }, { 1e-3, 100 } }
      shard.measured.write = histogram { { 1e-4, 40 }, { 2e-3, 10 } }
      shard.measured.reads, shard.measured.writes = 1000, 50
    elseif i == 2 then
      shard.measured.reads, shard.measured.errors, shard.measured.slow = 200, 4, 1
      shard.measured.errors_by_code = { BUSY = 3, CONSTRAINT = 1 }
    end
  end
  data.health = require("collegedb.report_health").of(data)
  return data
end

local THIN <const> = "\u{202f}"
local function percent(share) return (share == 0 and "0" or ("%.1f"):format(share * 100)) .. THIN .. "%" end

describe("the data of a report", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("are what the database says of itself", function()
    local db = uneven()
    local data = report.collect(db, { config = "here.lua" })
    local stats, verify, plan = db:get_shard_stats(), db:verify(), db:rebalance { dry_run = true }
    local total, after = 0, {}
    for i, each in ipairs(stats) do
      assert.same({ each.binding, each.count, each.size }, { data.shards[i].name, data.shards[i].keys,
        data.shards[i].bytes })
      total, after[each.binding] = total + each.count, each.count
    end
    assert.equal(total, data.totals.keys)
    assert.equal(123, total)
    assert.same({ 0.5, 0.25, 0.25 }, { data.shards[1].ideal, data.shards[2].ideal, data.shards[3].ideal })
    assert.equal(stats[1].count / total, data.shards[1].share)
    assert.same(verify.counts, data.verify.counts)
    assert.equal(3, data.verify.counts.doubled)
    assert.same({ plan.planned, plan.moves }, { data.rebalance.keys, data.rebalance.moves })
    for _, move in ipairs(plan.moves) do
      after[move.from], after[move.to] = after[move.from] - move.keys, after[move.to] + move.keys
    end
    for _, shard in ipairs(data.rebalance.after) do assert.equal(after[shard.name], shard.keys) end
    assert.is_true(data.rebalance.balance > data.totals.balance)
    assert.equal(1, data.directory.retiring)
    assert.equal("attention", data.health.state)
  end)

  it("leave what was not asked for out, and nothing behind", function()
    local db = uneven()
    local before = db:get_shard_stats()
    local data = report.collect(db, { verify = false, statistics = false })
    assert.same({ left_out = true }, data.verify)
    assert.is_nil(data.statistics)
    assert.same(before[1].count, db:get_shard_stats()[1].count)
    assert.matches("Left out by", page.html(data))
  end)

  it("stop at their limit, and say so", function()
    local db = uneven()
    local data = report.collect(db, { limit = 1e-9 })
    assert.is_true(data.verify.cancelled)
    assert.is_true(data.verify.rows < data.verify.rows_total)
    assert.matches("The first %d+ of %d+ rows", page.html(data))
  end)

  it("say which shard does not answer, and tell of the others", function()
    local db = uneven()
    local kept = fixture.path "kept"
    os.rename(fixture.path "b.db", kept)
    local data = report.collect(db)
    assert.equal("bad", data.health.state)
    assert.is_false(data.shards[2].reachable)
    assert.is_nil(data.shards[2].keys)
    assert.is_true(data.shards[1].reachable and data.shards[1].keys > 0)
    assert.matches("^b does not answer: .*there is no file", data.health.findings[1].text)
    assert.matches("does not answer", page.html(data))
    os.rename(kept, fixture.path "b.db")
  end)

  it("go on when rows can not be compared", function()
    local db = fixture.database(SCHEMA, { shards = { b = { journal_mode = "delete", busy_timeout = 0.05 } } })
    fill(db, 10)
    local other = require("collegedb.core").sqlite(fixture.path "b.db", { journal_mode = "delete" })
    other:exec "PRAGMA locking_mode = EXCLUSIVE; UPDATE users SET name = name"
    local data = report.collect(db)
    require("collegedb.core").close(other)
    assert.matches("BUSY", data.shards[2].error)
    assert.matches("BUSY", data.verify.error)
    assert.matches("BUSY", data.rebalance.error)
    assert.matches("could not be done.*could not be planned", page.html(data))
  end)
end)

describe("the command report", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function command(words, env)
    return process.run({ process.collegedb, "report", table.unpack(words) }, { folder = fixture.path "", env = env })
  end

  local function config(extra)
    fixture.write("collegedb.lua", ([[return { kv = "directory.db", %s
      shards = { { name = "east", "east.db" }, { name = "west", "west.db" } } }]]):format(extra or ""))
  end

  local function sound(count, extra)
    config(extra)
    local db = collegedb.open { kv = fixture.path "directory.db", shards = { { name = "east", fixture.path "east.db" },
      { name = "west", fixture.path "west.db" } } }
    db:ensure_schema(SCHEMA)
    fill(db, count)
    db:close()
  end

  it("writes the page, in place of what was there, and nothing besides", function()
    sound(20)
    fixture.write("report.html", "an old one")
    local files = fixture.files()
    local result = command { "-o", "report.html" }
    assert.same({ 0, "wrote report.html: all is well\n", "" }, { result.status, result.stdout, result.stderr })
    assert.matches("^<!doctype html>.*</html>\n$", fixture.bytes "report.html")
    assert.same(files, fixture.files())
  end)

  it("prints the page or its data where that is asked for", function()
    sound(20)
    local printed = command { "-o", "-" }
    assert.matches("^<!doctype html>.*</html>\n$", printed.stdout)
    local data = json_reader.decode(command({ "--json", "--no-verify" }).stdout)
    assert.equal(20, data.totals.keys)
    assert.is_true(data.verify.left_out)
    assert.equal("./collegedb.lua", data.config)
  end)

  it("says what is wrong with the call", function()
    sound(0)
    for _, words in ipairs { {}, { "-o" }, { "-o", "-", "--json" }, { "-o", "x.html", "--limit", "-1" } } do
      local result = command(words)
      assert.same({ 2, "" }, { result.status, result.stdout }, table.concat(words, " "))
      assert.matches("%-o", result.stderr)
    end
  end)

  it("does not overwrite the database", function()
    sound(5)
    os.execute(("ln -s east.db %s"):format(fixture.path "link"))
    for _, name in ipairs { "east.db", "./directory.db", "collegedb.lua", "west.db-wal", "link" } do
      local result = command { "-o", name }
      assert.equal("", result.stdout)
      assert.is_true(result.status == 1 or result.status == 2)
      assert.matches("would overwrite it", result.stderr)
    end
    assert.equal(0, command({ "-o", "report.html" }).status)
  end)

  it("writes to what is no file, and leaves it what it is", function()
    sound(5)
    assert.equal(0, command({ "-o", "/dev/null" }).status)
    assert.is_nil(require("collegedb.core").file_stamp "/dev/null")
    local result = command { "-o", "no/such/folder/report.html" }
    assert.same({ 1, "" }, { result.status, result.stdout })
    assert.matches("no/such/folder", result.stderr)
  end)

  it("ends with 3 when somebody should look, and lists it", function()
    sound(20)
    fixture.sqlite("west.db", "INSERT OR IGNORE INTO users SELECT 'user-' || value, 'a copy' FROM "
      .. "json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]')")
    local result = command { "-o", "report.html" }
    assert.equal(3, result.status)
    assert.matches("^wrote report.html: there are things to look at\n  %d+ doubled: [^\n]+\n$", result.stdout)
  end)

  it("shows what running programs have measured, and not itself", function()
    sound(20, ("statistics_dir = %q,"):format(fixture.path ""))
    local without = json_reader.decode(command({ "--json" }).stdout)
    assert.equal(0, without.statistics.programs)
    local db = fixture.open { kv = fixture.path "directory.db", statistics_dir = fixture.path "",
      shards = { { name = "east", fixture.path "east.db" }, { name = "west", fixture.path "west.db" } } }
    for i = 1, 20 do db:first("user-" .. i, "SELECT * FROM users WHERE id = ?", { "user-" .. i }) end
    pcall(db.run, db, "user-1", "INSERT INTO users VALUES ('user-1', 'again')")
    db:statistics { all = true } -- shows them now
    local data = json_reader.decode(command({ "--json" }).stdout)
    local reads, failed = 0, 0
    for _, shard in ipairs(data.shards) do
      reads, failed = reads + shard.measured.reads, failed + (shard.measured.errors_by_code.CONSTRAINT or 0)
    end
    assert.same({ 1, 20, 1 }, { data.statistics.programs, reads, failed })
    assert.matches("1 program measured", command({ "-o", "-" }).stdout)
  end)

  it("tells what the doctor says when the database does not open", function()
    sound(5)
    fixture.write("west.db", ("no database "):rep(1000))
    local result = command { "-o", "report.html" }
    assert.equal(3, result.status)
    assert.matches("something is wrong\n  west: ", result.stdout)
    local html = fixture.bytes "report.html"
    assert.matches("The database does not open", html)
    assert.matches("to mend: ", html)
  end)

  it("fails without a page when the config is wrong", function()
    config 'nonsense = 1,'
    local result = command { "-o", "report.html" }
    assert.same({ 1, "" }, { result.status, result.stdout })
    assert.matches("nonsense", result.stderr)
    assert.is_nil(fixture.bytes "report.html")
  end)

  it("that is interrupted leaves the old page, and no half of a new one", function()
    sound(20, 'script_dirs = { "." },')
    os.execute("mkdir " .. fixture.path "policies")
    fixture.write("policies/home.lua", [[return { name = "home", api = 1, plan = function()
      io.popen("kill -INT " .. io.open("/proc/self/stat"):read "n"):close()
      for _ = 1, 1e6 do end
      return function() end
    end }]])
    fixture.write("report.html", "an old one")
    local files = fixture.files()
    local result = command { "-o", "report.html" }
    assert.equal(130, result.status)
    assert.matches("interrupted", result.stderr)
    assert.equal("an old one", fixture.bytes "report.html")
    assert.same(files, fixture.files())
    fixture.write("policies/home.lua", "return ...")
    assert.equal(0, command({ "-o", "report.html" }).status)
  end)
end)

describe("the page of a report", function()
  if browser.skips(it, pending) then return end

  before_each(fixture.start)
  after_each(fixture.stop)

  local ALLOWED <const> = {}
  for name in ([[a bdi body caption circle code dd desc details div dl dt footer h1 h2 h3 head header html li line main
      meta p path rect section small span strong style summary svg table tbody td text th thead time title tr ul
      ]]):gmatch "%S+" do
    ALLOWED[name] = true
  end

  -- Whatever it shows, on every screen and in both themes.
  local function is_sound(views)
    for name, view in pairs(views) do
      if name ~= "paper" then
        assert.same({}, view.requests, name)
        assert.same({}, view.messages, name)
        assert.same({}, view.pale, name)
        assert.same({ 0, 0 }, { view.untitled, view.clipped }, name)
        assert.equal(tonumber(name:match "%d+"), view.width)
        for _, element in ipairs(view.elements) do assert.is_true(ALLOWED[element], element) end
      end
    end
    assert.equal("rgb(255, 255, 255)", views.paper)
  end

  local function look(pages)
    local paths = {}
    for name, data in pairs(pages) do
      fixture.write(name .. ".html", page.html(data))
      paths[#paths + 1] = fixture.path(name .. ".html")
    end
    local seen, views = browser.look(paths), {}
    for name in pairs(pages) do
      views[name] = seen[fixture.path(name .. ".html")]
      is_sound(views[name])
    end
    return views
  end

  local function near(expected, given, what)
    assert.is_true(math.abs(expected - given) < 0.01, ("%s: %s, not %s"):format(what or "", given, expected))
  end

  it("shows the numbers, and bars as long as they are", function()
    local data = with_figures(report.collect(uneven(), { config = "here.lua" }))
    local views = look { page = data }
    for _, view in ipairs { views.page["light 1200"], views.page["dark 360"] } do
      local full = { keys = 0.5, bytes = 0.5 }
      for _, shard in ipairs(data.shards) do
        full.keys, full.bytes = math.max(full.keys, shard.share), math.max(full.bytes, shard.byte_share)
      end
      for i, shard in ipairs(data.shards) do
        local keys, bytes, change = view.tables.Keys[i], view.tables.Bytes[i], view.tables["Keys, now and then"][i]
        assert.equal(shard.name, keys.texts[1]:match "^%S+")
        assert.same({ tostring(shard.keys), percent(shard.share) }, { keys.texts[2], keys.texts[3] })
        assert.equal(percent(shard.byte_share), bytes.texts[3])
        near(shard.share / full.keys, keys.fill, "keys of " .. shard.name)
        near(shard.byte_share / full.bytes, bytes.fill, "bytes of " .. shard.name)
        near(shard.ideal / full.keys, keys.mark, "ideal of " .. shard.name)
        local then_ = data.rebalance.after[i].keys
        assert.same({ tostring(shard.keys), tostring(then_) }, { change.texts[2], change.texts[3] })
        near((change.after - change.before) * full.keys, (then_ - shard.keys) / data.totals.keys, "its change")
      end
      assert.same({ "b\nBUSY\u{a0}3, CONSTRAINT\u{a0}1", "4", percent(0.02) },
        view.tables["Failed statements"][1].texts)
      assert.equal("950", view.facts[2].hits)
      assert.equal(percent(0.95), view.facts[2]["hit rate"])
      assert.matches("1 earlier placement retiring", view.facts[1].epoch)
      assert.is_string(view.sections.verify:match "\n3 doubled\n")
      for i, move in ipairs(data.rebalance.moves) do
        assert.equal(move.from .. " → " .. move.to, view.tables["What would move"][i].texts[1])
      end
    end
  end)

  it("shows how long statements took, on a logarithmic axis", function()
    local data = with_figures(report.collect(uneven(), { verify = false }))
    local view = look({ page = data }).page["light 1200"]
    assert.equal(1, #view.cards)
    local card = view.cards[1]
    assert.same({ "10 µs", "100 µs", "1 ms", "10 ms" }, card.ticks)
    assert.same({ 3, 2 }, { #card.read, #card.write })
    near(0, card.read[1].from)
    near(math.log(2, 10) / 3, card.read[2].from)
    near(2 / 3, card.read[3].from)
    near(0.5, card.read[1].height / card.read[2].height)
    near(1 / 6, card.read[3].height / card.read[2].height)
    near(0.25, card.write[2].height / card.write[1].height)
    assert.same({ "reads", "1,000", "20\u{a0}µs", "100\u{a0}µs", "2.0\u{a0}ms", "3.0\u{a0}ms" }, card.rows[1].texts)
    assert.equal("1,200 reads", view.tiles["Reads, p99"]:match "\n(.*)")
    assert.equal("4 statements", view.tiles.Failed:match "\n(.*)")
  end)

  it("obeys nothing that users have written", function()
    local evil = "<script>alert(1)</script>"
    local names = { evil, [["><img src=x onerror=alert(2)>' & co]], "\u{202e}turned" }
    local config = fixture.config(nil, { "a", "b", "c" })
    for i, name in ipairs(names) do config.shards[i].name = name end
    local db = fixture.open(config)
    db:ensure_schema('CREATE TABLE "<b>t</b>" (id TEXT PRIMARY KEY)')
    local key = "<script>alert(3)</script>"
    for _, name in ipairs(names) do db:shard(name):run('INSERT INTO "<b>t</b>" VALUES (?)', { key }) end
    db:shard(evil):run('INSERT INTO "<b>t</b>" VALUES (?)', { "\xff<i>" })
    local data = with_figures(report.collect(db, { config = "</title><script>alert(4)</script>" }))
    data.shards[3].reachable, data.shards[3].error = false, "<script>alert(5)</script>"
    data.shards[1].measured.errors, data.shards[1].measured.errors_by_code = 2, { ["<u>"] = 2 }
    data.health = require("collegedb.report_health").of(data)
    local html = page.html(data)
    assert.is_nil(html:find "<script")
    assert.is_nil(html:find "<img")
    assert.is_nil(html:find("<b>", 1, true))
    local view = look({ evil = data }).evil["light 1200"]
    assert.equal(evil, view.tables.Keys[1].texts[1]:match "^[^\n]+")
    assert.equal(evil, view.cards[1].name)
    assert.is_string(view.sections.verify:match "<script>alert%(3%)</script>")
  end)

  it("stands with nothing, with one shard and with a hundred", function()
    local empty = report.collect(fixture.database(nil, nil, { "only" }))
    local fault = { about = "west", state = "fault", what = "it is not there", mend = "put it back" }
    local none = report.unopened({ fault }, {})
    local many = report.collect(fixture.database(SCHEMA, { kv = fixture.path "other.db" }, { "a", "b" }))
    for i = 1, 100 do
      local weight = i % 7 == 0 and 2 or 1
      many.shards[i] = { name = "shard-" .. i, weight = weight, state = "open", keys = i * 1000, bytes = i << 20,
        share = i / 5050, byte_share = i / 5050, ideal = weight / 114, entries = 0, conflicts = 0, reachable = true }
      many.rebalance.after[i] = { name = "shard-" .. i, keys = 50500, ideal = weight / 114 }
    end
    many.rebalance.moves = { { from = "shard-100", to = "shard-1", keys = 4, bytes = 100 } }
    with_figures(many)
    for i = 1, 100 do
      many.shards[i].measured.read = histogram { { 1e-5, i }, { 1e-4, 3 } }
      many.shards[i].measured.reads = i + 3
    end
    local views = look { empty = empty, none = none, many = many }
    assert.matches("^All is well", views.empty["light 1200"].health)
    assert.matches("There are no keys yet", views.empty["light 1200"].sections.shards)
    assert.equal("The database does not open.", views.none["light 360"].health)
    assert.matches("put it back", views.none["light 360"].sections.doctor)
    local view = views.many["dark 360"]
    assert.same({ 100, 12, 88 }, { #view.tables.Keys, #view.cards, #view.tables["The other shards, p50 / p99"] })
    assert.equal("shard-100", view.cards[1].name)
  end)
end)
