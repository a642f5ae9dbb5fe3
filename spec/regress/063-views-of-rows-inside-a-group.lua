-- In a statement of a view, or one that begins with WITH, the key of a row inside a group was taken for a group's: the
-- statement ran where such a group would be at home, and found nothing.

local fixture = require "spec.support.fixture"

describe("regression 063:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "hash", "random" } do
    it("rows inside a group are found through views, under " .. strategy, function()
      local db = fixture.database([[CREATE TABLE users (id TEXT PRIMARY KEY);
        CREATE TABLE posts (id TEXT PRIMARY KEY, user_id TEXT REFERENCES users ON DELETE CASCADE);
        CREATE VIEW all_posts AS SELECT * FROM posts;
        CREATE VIEW new_users AS SELECT * FROM users;
        CREATE TRIGGER new_user INSTEAD OF INSERT ON new_users BEGIN INSERT INTO users VALUES (new.id); END]],
        { strategy = strategy })
      for i = 1, 10 do
        local user, post = "u" .. i, "p" .. i
        db:insert(user, "INSERT INTO new_users VALUES (?)", { user })
        db:insert(user, "INSERT INTO posts VALUES (?, ?)", { post, user })
        for _ = 1, 2 do
          assert.is_not_nil(db:first(post, "SELECT * FROM all_posts WHERE id = ?", { post }))
          assert.is_not_nil(db:first(post, "WITH p AS (SELECT * FROM posts WHERE id = ?) SELECT * FROM p", { post }))
          assert.is_not_nil(db:first(user, "SELECT * FROM all_posts WHERE user_id = ?", { user }))
          assert.is_not_nil(db:first(user, "SELECT * FROM new_users WHERE id = ?", { user }))
        end
      end
    end)
  end
end)
