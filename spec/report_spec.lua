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

-- A set-up whose shards are uneven: `c` came late, and some keys of `a` and `b` are doubled.
local function uneven()
  local weights = { shards = { a = { weight = 2, region = "weur" } } }
  local db = fixture.database(SCHEMA, weights)
  fill(db, 120)
  db:close()
  local config = fixture.config(weights, { "a", "b", "c" })
  db = fixture.open(config)
  for i = 1, 120, 40 do
    local key = "user-" .. i
    local other = db:locate(key) == "a" and "b" or "a"
    db:shard(other):run("INSERT INTO users VALUES (?, 'a copy')", { key })
  end
  return config, db
end

local function histogram(counts)
  local h = { count = 0, sum = 0.0, buckets = {}, p50 = 2e-5, p90 = 1e-4, p99 = 2e-3, max = 3e-3 }
  for i, each in ipairs(counts) do
    h.buckets[i] = { from = each[1], to = each[1] * 2 ^ 0.25, count = each[2] }
    h.count = h.count + each[2]
  end
  return h
end

-- Figures that a spec knows: those of real statements differ each time.
local function with_figures(data)
  data.statistics = { programs = 3, since = data.at - 7800, reads = 1200, writes = 50, errors = 4, enabled = true,
    cache = { hits = 950, misses = 50, hit_rate = 0.95, entries = 50, capacity = 1000000, bytes = 2048 },
    read = histogram {}, write = histogram {} }
  for i, shard in ipairs(data.shards) do
    shard.reads, shard.writes, shard.errors, shard.errors_by_code, shard.slow = 0, 0, 0, {}, 0
    shard.read, shard.write = { count = 0, sum = 0.0, buckets = {} }, { count = 0, sum = 0.0, buckets = {} }
    if i == 1 then
      shard.read = histogram { { 1e-5, 300 }, { 2e-5, 600 }, { 1e-3, 100 } }
      shard.write = histogram { { 1e-4, 40 }, { 2e-3, 10 } }
      shard.reads, shard.writes = 1000, 50
    elseif i == 2 then
      shard.reads, shard.errors, shard.slow, shard.errors_by_code = 200, 4, 1, { BUSY = 3, CONSTRAINT = 1 }
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
    local config, db = uneven()
    local data = report.collect(config, { config = "here.lua" })
    local stats, verify, plan = db:get_shard_stats(), db:verify(), db:rebalance { dry_run = true }
    local total, after = 0, {}
    for i, each in ipairs(stats) do
      local shard = data.shards[i]
      assert.same({ each.binding, each.count, each.size }, { shard.binding, shard.count, shard.size })
      total, after[each.binding] = total + each.count, each.count
    end
    assert.same({ 123, 123 }, { total, data.keys })
    assert.same({ 0.5, 0.25, 0.25 }, { data.shards[1].ideal, data.shards[2].ideal, data.shards[3].ideal })
    assert.equal(stats[1].count / total, data.shards[1].share)
    assert.same(verify.counts, data.verify.counts)
    assert.equal(3, data.verify.counts.doubled)
    assert.same({ plan.planned, plan.moves }, { data.rebalance.keys, data.rebalance.moves })
    for _, move in ipairs(plan.moves) do
      after[move.from], after[move.to] = after[move.from] - move.keys, after[move.to] + move.keys
    end
    for _, shard in ipairs(data.rebalance.after) do assert.equal(after[shard.binding], shard.count) end
    assert.is_true(data.rebalance.balance.ratio < data.balance.keys.ratio)
    assert.equal(1, data.directory.retiring)
    assert.equal("attention", data.health.state)
  end)

  it("change nothing, and leave what was not asked for out", function()
    local config, db = uneven()
    local before = db:get_shard_stats()
    local data = report.collect(config, { verify = false })
    assert.same({ left_out = true }, data.verify)
    for i, each in ipairs(db:get_shard_stats()) do assert.equal(before[i].count, each.count) end
    assert.equal(data.directory.epoch, report.collect(config).directory.epoch)
    assert.matches("Left out by", page.html(data))
  end)

  it("stop at their limit, and say so", function()
    local data = report.collect((uneven()), { limit = 1e-9 })
    assert.is_true(data.verify.cancelled)
    assert.is_true(data.verify.rows < data.verify.rows_total)
    assert.matches("The first %d+ of %d+ rows", page.html(data))
  end)

  it("say which shard is not there, make no new one, and tell of the others", function()
    local config, db = uneven()
    db:close()
    os.remove(fixture.path "b.db")
    local data = report.collect(config)
    assert.equal("bad", data.health.state)
    assert.same({ "unreachable" }, { data.shards[2].state, data.shards[2].count })
    assert.same({ 2 / 3, 0, 1 / 3 }, { data.shards[1].ideal, data.shards[2].ideal, data.shards[3].ideal })
    assert.is_true(data.shards[1].count > 0)
    assert.matches("^b does not answer: .*there is no file", data.health.findings[1].text)
    assert.matches("does not answer.*could not be done.*could not be planned", page.html(data))
    assert.is_nil(fixture.bytes "b.db")
  end)

  it("go on when rows can not be compared", function()
    local config = fixture.config { shards = { b = { journal_mode = "delete", busy_timeout = 0.05 } } }
    local db = fixture.open(config)
    db:ensure_schema(SCHEMA)
    fill(db, 10)
    local other = require("collegedb.core").sqlite(fixture.path "b.db", { journal_mode = "delete" })
    other:exec "PRAGMA locking_mode = EXCLUSIVE; UPDATE users SET name = name"
    local data = report.collect(config)
    require("collegedb.core").close(other)
    assert.equal("BUSY", data.shards[2].error.code)
    assert.equal("b does not answer", data.verify.error)
    assert.equal(1, #data.health.findings)
  end)

  it("are of a set-up that nobody has opened", function()
    local data = report.collect(fixture.config())
    assert.equal("the database was never opened", data.verify.error)
    assert.same({}, fixture.files())
    assert.matches("was never opened", page.html(data))
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
    assert.equal(20, data.keys)
    assert.is_true(data.verify.left_out)
    assert.equal("./collegedb.lua", data.config)
  end)

  it("says what is wrong with the call", function()
    sound(0)
    for _, words in ipairs { {}, { "-o" }, { "-o", "-", "--json" }, { "-o", "x.html", "--limit", "-1" } } do
      local result = command(words)
      assert.equal(2, result.status, table.concat(words, " "))
      local error_object = '{"error":{"code":"USAGE","message":"%-o [^"]*","retryable":false}}\n'
      assert.matches("^" .. (words[3] == "--json" and error_object or "") .. "$", result.stdout)
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
    assert.same({ 2, "" }, { result.status, result.stdout })
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
      reads, failed = reads + shard.reads, failed + (shard.errors_by_code.CONSTRAINT or 0)
    end
    assert.same({ 1, 20, 1 }, { data.statistics.programs, reads, failed })
    assert.matches("1 program measured", command({ "-o", "-" }).stdout)
  end)

  it("tells what the doctor says when the database does not open", function()
    sound(5)
    config 'strategy = "nonesuch",'
    local result = command { "-o", "report.html" }
    assert.equal(3, result.status, result.stderr .. result.stdout)
    assert.matches("something is wrong\n  ", result.stdout)
    local html = fixture.bytes "report.html"
    assert.matches("The database does not open", html)
    assert.matches("What the doctor says", html)
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
    assert.equal("interrupted; to go on: collegedb report -o report.html\n", result.stderr)
    assert.equal("an old one", fixture.bytes "report.html")
    assert.same(files, fixture.files())
    fixture.write("policies/home.lua", "return ...")
    assert.equal(0, command({ "-o", "report.html" }).status)
  end)
end)

describe("the page of a report", function()
  if browser.skips(it, function(why) pending(why) end) then return end

  local data, seen = {}, nil
  local EVIL <const> = "<script>alert(1)</script>"

  local function evil()
    local config = fixture.config({ kv = fixture.path "evil.db" }, { "ea", "eb", "ec" })
    local names = { EVIL, [["><img src=x onerror=alert(2)>' & co]], "\u{202e}turned" }
    for i, name in ipairs(names) do config.shards[i].name = name end
    local db <close> = collegedb.open(config)
    db:ensure_schema('CREATE TABLE "<b>t</b>" (id TEXT PRIMARY KEY)')
    for _, name in ipairs(names) do
      db:shard(name):run('INSERT INTO "<b>t</b>" VALUES (?)', { "<script>alert(3)</script>" })
    end
    db:shard(EVIL):run('INSERT INTO "<b>t</b>" VALUES (?)', { "\xff<i>" })
    local all = with_figures(report.collect(config, { config = "</title><script>alert(4)</script>" }))
    all.shards[3].state, all.shards[3].error = "unreachable", { code = "SQL", message = "<script>alert(5)</script>" }
    all.shards[1].errors, all.shards[1].errors_by_code = 2, { ["<u>"] = 2 }
    all.health = require("collegedb.report_health").of(all)
    return all
  end

  local function nothing()
    local config = fixture.config({ kv = fixture.path "empty.db" }, { "only" })
    collegedb.open(config):close()
    return report.collect(config)
  end

  local function unopened()
    local none = report.collect(fixture.config { kv = fixture.path "none.db" })
    none.diagnoses = { { about = "west", state = "fault", what = "it is not there", mend = "put it back" } }
    none.health = require("collegedb.report_health").of(none)
    return none
  end

  local function hundred()
    local many = nothing()
    for i = 1, 100 do
      local weight = i % 7 == 0 and 2 or 1
      many.shards[i] = { binding = "shard-" .. i, weight = weight, state = "open", integrated = true, count = i * 1000,
        size = i << 20, share = i / 5050, size_share = i / 5050, ideal = weight / 114 }
      many.rebalance.after[i] = { binding = "shard-" .. i, count = 50500, weight = weight, state = "open" }
    end
    many.rebalance.moves = { { from = "shard-100", to = "shard-1", keys = 4, bytes = 100 } }
    with_figures(many)
    for i = 1, 100 do
      many.shards[i].read, many.shards[i].reads = histogram { { 1e-5, i }, { 1e-4, 3 } }, i + 3
    end
    return many
  end

  -- Chromium is started once, for all.
  setup(function()
    fixture.start()
    local config, db = uneven()
    data.usual = with_figures(report.collect(config, { config = "here.lua" }))
    db:close()
    data.evil, data.nothing, data.unopened, data.hundred = evil(), nothing(), unopened(), hundred()
    local paths = {}
    for name, each in pairs(data) do
      fixture.write(name .. ".html", page.html(each))
      paths[#paths + 1] = fixture.path(name .. ".html")
    end
    seen = browser.look(paths)
    for name in pairs(data) do seen[name] = seen[fixture.path(name .. ".html")] end
  end)
  teardown(fixture.stop)

  local ALLOWED <const> = {}
  for name in ([[a bdi body caption circle code dd desc details div dl dt footer h1 h2 h3 head header html li line main
      meta p path rect section small span strong style summary svg table tbody td text th thead time title tr ul wbr
      ]]):gmatch "%S+" do
    ALLOWED[name] = true
  end

  local function near(expected, given, what)
    assert.is_true(math.abs(expected - given) < 0.01, ("%s: %s, not %s"):format(what or "", given, expected))
  end

  for _, name in ipairs { "usual", "evil", "nothing", "unopened", "hundred" } do
    it("loads nothing, fits and can be read in both themes: " .. name, function()
      for _, theme in ipairs { "light 1200", "light 360", "dark 1200", "dark 360" } do
        local view = seen[name][theme]
        assert.same({}, view.requests, theme)
        assert.same({}, view.messages, theme)
        assert.same({}, view.pale, theme)
        assert.same({ 0, 0 }, { view.untitled, view.clipped }, theme)
        assert.equal(tonumber(theme:match "%d+"), view.width)
        for _, element in ipairs(view.elements) do assert.is_true(ALLOWED[element], element) end
      end
      assert.equal("rgb(255, 255, 255)", seen[name].paper)
    end)
  end

  it("shows the numbers, and bars as long as they are", function()
    for _, view in ipairs { seen.usual["light 1200"], seen.usual["dark 360"] } do
      local full = { keys = 0.5, bytes = 0.5 }
      for _, shard in ipairs(data.usual.shards) do
        full.keys, full.bytes = math.max(full.keys, shard.share), math.max(full.bytes, shard.size_share)
      end
      for i, shard in ipairs(data.usual.shards) do
        local keys, bytes = view.tables.Keys[i], view.tables.Bytes[i]
        assert.equal(shard.binding, keys.texts[1]:match "^%S+")
        assert.same({ tostring(shard.count), percent(shard.share) }, { keys.texts[2], keys.texts[3] })
        assert.equal(percent(shard.size_share), bytes.texts[3])
        near(shard.share / full.keys, keys.fill, "keys of " .. shard.binding)
        near(shard.size_share / full.bytes, bytes.fill, "bytes of " .. shard.binding)
        near(shard.ideal / full.keys, keys.mark, "ideal of " .. shard.binding)
      end
    end
  end)

  it("shows what failed, what the directory says and what verify found", function()
    local view = seen.usual["light 360"]
    assert.same({ "b\nBUSY\u{a0}3, CONSTRAINT\u{a0}1", "4", percent(0.02) },
      view.tables["Failed statements by shard"][1].texts)
    assert.same({ "BUSY", "3" }, view.tables["Failed statements by code"][1].texts)
    near(1 / 3, view.tables["Failed statements by code"][2].fill)
    near(0.5, view.tables["Failed statements by shard"][1].mark)
    assert.matches("1 earlier placement retiring", view.facts[1].epoch)
    assert.equal("950", view.facts[2].hits)
    assert.equal(percent(0.95), view.facts[2]["hit rate"])
    assert.is_string(view.sections.verify:match "\n3 doubled\n")
    assert.equal(#data.usual.health.findings, #view.findings)
    for i, each in ipairs(data.usual.health.findings) do assert.equal(each.text, view.findings[i]) end
  end)

  it("shows what a rebalance would do", function()
    local usual, view = data.usual, seen.usual["light 1200"]
    local full = 0.5
    for _, shard in ipairs(usual.shards) do full = math.max(full, shard.share) end
    for i, shard in ipairs(usual.shards) do
      local change, after = view.tables["Keys, now and then"][i], usual.rebalance.after[i].count
      assert.same({ tostring(shard.count), tostring(after) }, { change.texts[2], change.texts[3] })
      near(shard.share / full, change.before, "now")
      near(after / usual.keys / full, change.after, "then")
    end
    for i, move in ipairs(usual.rebalance.moves) do
      local texts = view.tables["What would move"][i].texts
      assert.same({ move.from .. " → " .. move.to, tostring(move.keys) }, { texts[1], texts[2] })
    end
  end)

  it("shows how long statements took, on a logarithmic axis", function()
    local view = seen.usual["light 1200"]
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
    local html = fixture.bytes "evil.html"
    assert.is_nil(html:find "<script")
    assert.is_nil(html:find "<img")
    assert.is_nil(html:find("<b>", 1, true))
    local view = seen.evil["light 1200"]
    assert.equal(EVIL, view.tables.Keys[1].texts[1]:match "^[^\n]+")
    assert.equal(EVIL, view.cards[1].name)
    assert.is_string(view.sections.verify:match "<script>alert%(3%)</script>")
    assert.is_string(table.concat(view.findings, "\n"):match "<script>alert%(5%)</script>")
  end)

  it("stands with nothing, with a database that does not open, and with a hundred shards", function()
    assert.matches("^All is well", seen.nothing["light 1200"].health)
    assert.matches("There are no keys yet", seen.nothing["light 1200"].sections.shards)
    assert.equal("The database does not open.", seen.unopened["light 360"].health)
    assert.matches("put it back", seen.unopened["light 360"].sections.doctor)
    local view = seen.hundred["dark 360"]
    assert.same({ 100, 12, 88 }, { #view.tables.Keys, #view.cards, #view.tables["The other shards, p50 / p99"] })
    assert.equal("shard-100", view.cards[1].name)
  end)
end)
