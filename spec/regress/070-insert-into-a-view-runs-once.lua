-- An INSERT into a view, whose trigger removed the row inside a group that it was keyed by, ran a second time on the
-- shard that the key then led to: its changes are not counted, so it looked as if it had met nothing.

local fixture = require "spec.support.fixture"

describe("regression 070:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("an INSERT into a view runs once", function()
    local db = fixture.database [[CREATE TABLE users (id TEXT PRIMARY KEY);
      CREATE TABLE posts (id TEXT PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);
      CREATE TABLE log (id TEXT PRIMARY KEY);
      CREATE VIEW removals AS SELECT id FROM posts;
      CREATE TRIGGER remove INSTEAD OF INSERT ON removals BEGIN
        DELETE FROM posts WHERE id = new.id; INSERT INTO log VALUES (new.id); END]]
    for i = 1, 10 do
      local user, post = "u" .. i, "p" .. i
      db:insert(user, "INSERT INTO users VALUES (?)", { user })
      db:insert(user, "INSERT INTO posts VALUES (?, ?)", { post, user })
      db:insert(post, "INSERT INTO removals VALUES (?)", { post })
    end
    assert.same({ 0, 10 }, { (db:count "posts"), (db:count "log") })
  end)
end)
