-- Found by fuzzing: a weight without end in a D1 directory stopped the program for ever, and other values that a
-- directory should not have raised Lua's own errors.

local core = require "collegedb.core"
local directory = require "collegedb.directory"
local epochs = require "collegedb.epochs"
local fixture = require "spec.support.fixture"
local journal = require "collegedb.journal"
local shards = require "collegedb.shards"
local single_record = require "collegedb.single_record"

describe("regression 463:", function()
  local dir

  before_each(function()
    fixture.start()
    dir = directory.open "memory:"
  end)
  after_each(function()
    dir:close()
    fixture.stop()
  end)

  for _, weight in ipairs { 1 / 0, -1, "much" } do
    it(("a weight of %s is told, on D1 and in a file"):format(weight), function()
      local rows = { { t = 2, a = 1, b = "a", d = 1, e = 0, f = 0, g = 0, h = 0 }, { t = 3, a = 1, b = "hash" },
        { t = 4, a = 1, b = 1, c = weight } }
      local record = single_record.new { name = "d", all = function() return rows end }
      fixture.raises("CORRUPT", "weight", record.refresh, record)
      record:close()
      dir.shard:exec [[INSERT INTO _collegedb_shards (id, name) VALUES (1, 'a');
        INSERT INTO _collegedb_placements VALUES (1, 'hash')]]
      dir.shard:run("INSERT INTO _collegedb_homes VALUES (1, 1, ?, NULL)", { weight })
      fixture.raises("CORRUPT", "weight", epochs.read, dir, { { id = 1, name = "a" } })
    end)
  end

  it("flags that are no numbers are told", function()
    dir.shard:exec "INSERT INTO _collegedb_shards (id, name, drained) VALUES (1, 'a', 'x')"
    fixture.raises("CORRUPT", "drained", epochs.read, dir, { { id = 1, name = "a" } })
  end)

  for _, text in ipairs { "", "{", "1", "null", "[]", '{"path":1}', '{"d1":"x"}', '{"path":{"$blob":1}}' } do
    it("settings of an added shard that can not be read are told: " .. text, function()
      dir.shard:run("INSERT INTO _collegedb_shards (name, settings) VALUES ('c', ?)", { text })
      fixture.raises("CORRUPT", "is damaged: its table _collegedb_shards", shards.added, dir)
    end)
  end

  it("a journal that can not be read is told", function()
    dir.keeps_journal = true
    dir.shard:run([[INSERT INTO _collegedb_jobs (workflow, subject, signature, step, state)
      VALUES ('integrate', 1, '', '', ?)]], { core.blob "x" })
    local job = journal.claim(dir, "integrate", 1)
    fixture.raises("CORRUPT", "is damaged: its table _collegedb_jobs", job.read, job)
    job:release()
  end)
end)
