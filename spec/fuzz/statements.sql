# Statements of every kind, one a line: the main table, a bar, the text (\n stands for a new line). `-` is no table, and
# `!` a text that SQLite refuses. The tables are those of spec/support/verdict.c. spec/fuzz/statements_spec.lua and the
# fuzz target `statements` read them.
#
# --- reading
users|SELECT * FROM users
users|select id,name from users where id=?
users|SELECT * FROM users;
users|SELECT*FROM users
users|SELECT"id"FROM"users"
users|SELECT 'x'FROM users
users|SELECT 1 FROM users
users|SELECT ?1FROM users
users|SELECT :aFROM, 1 FROM users
users|SELECT 1.5e3 FROM users
users|SELECT x'00'FROM users
users|SELECT(1)FROM(users)
users|SELECT ALL id FROM users
users|SELECT DISTINCT n FROM users ORDER BY n
users|SELECT count(*) FROM users
users|SELECT count(*) FILTER (WHERE n > 1) FROM users
users|SELECT max(n), min(n) FROM users GROUP BY name HAVING count(*) > 1
users|SELECT u.id FROM users AS u
users|SELECT u.id FROM users u
users|SELECT u.id FROM main.users u
users|SELECT u.id FROM "main"."users" u
users|SELECT u.id FROM [main].[users] u
users|SELECT u.id FROM `main`.`users` u
users|SELECT u.id FROM main . users AS 'u'
users|SELECT users.* FROM users
users|SELECT main.users.id FROM main.users
users|SELECT id AS "FROM" FROM users
users|SELECT id "FROM" FROM users
users|SELECT id 'FROM orders' FROM users
users|SELECT '--', "id" /* FROM orders */ FROM users
users|SELECT id --FROM orders\nFROM users
users|SELECT id FROM users -- FROM orders
users|SELECT id FROM users /* unterminated
users|SELECT '/*' FROM users
users|SELECT '''' FROM users
users|SELECT 'FROM orders' FROM users
users|SELECT "FROM orders" FROM users
users|SELECT n IS DISTINCT FROM 1 FROM users
users|SELECT n IS NOT DISTINCT FROM name FROM users
users|SELECT DISTINCT n IS DISTINCT FROM 2 FROM users
users|SELECT CASE WHEN n THEN 1 ELSE (SELECT max(n) FROM orders) END FROM users
users|SELECT (SELECT n FROM orders LIMIT 1) FROM users
users|SELECT EXISTS (SELECT 1 FROM orders) FROM users
users|SELECT id IN (SELECT user FROM orders) FROM users
users|SELECT id IN logs FROM users WHERE id IN (1)
users|SELECT CAST(n AS TEXT) FROM users
users|SELECT CAST(id AS "from") FROM users
users|SELECT name COLLATE NOCASE FROM users
users|SELECT name LIKE '%' ESCAPE '\' FROM users
users|SELECT n BETWEEN 1 AND 2 FROM users
users|SELECT n ISNULL, name NOTNULL, n NOT NULL FROM users
users|SELECT name GLOB 'a*' FROM users
users|SELECT -n, +n, ~n, NOT n FROM users
users|SELECT name || 'x' || n FROM users
users|SELECT name -> '$.a', name ->> '$.b' FROM users
users|SELECT n <> 1, n != 1, n == 1, n = 1, n << 1, n >> 1, n % 2 FROM users
users|SELECT 0x1F, 1e5, 1.e5, .5, 1., 1e-5, 9223372036854775808 FROM users
users|SELECT x'00ff', X'' FROM users
users|SELECT ?, ?2, :a, @b, $c, $d::e, $f(g) FROM users
users|SELECT $a::b::c(d) FROM users
users|SELECT row_number() OVER (PARTITION BY name ORDER BY n) FROM users
users|SELECT sum(n) OVER w FROM users WINDOW w AS (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
users|SELECT sum(n) OVER (w ROWS 1 PRECEDING) FROM users WINDOW w AS (ORDER BY n), v AS (PARTITION BY id)
users|SELECT id FROM users LIMIT 1
users|SELECT id FROM users LIMIT 1 OFFSET 2
users|SELECT id FROM users LIMIT 1, 2
users|SELECT id FROM users LIMIT (SELECT count(*) FROM orders)
users|SELECT id FROM users ORDER BY n DESC NULLS LAST, name COLLATE NOCASE ASC
users|SELECT id FROM users WHERE n = (SELECT max(n) FROM users)
users|SELECT id FROM users WHERE (id, n) = (1, 2)
users|SELECT id FROM users WHERE (id, n) IN (VALUES (1, 2), (3, 4))
users|SELECT id FROM users WHERE (id, n) IN (SELECT user, n FROM orders)
users|SELECT rowid, _rowid_, oid FROM users
users|SELECT id FROM users INDEXED BY by_name WHERE name = 'a'
users|SELECT id FROM users NOT INDEXED
users|SELECT id FROM users AS u INDEXED BY by_name WHERE u.name = 'a'
users|SELECT * FROM users WHERE id = 'a;b'
users|SELECT * FROM users WHERE id = ';' -- ;
users|\uFEFFSELECT * FROM users
users|\n\t SELECT\n*\nFROM\nusers\n
users|/**/SELECT/**/*/**/FROM/**/users/**/
users|--\nSELECT * FROM users--
users|; ; SELECT * FROM users
# --- reading several tables
users|SELECT * FROM users, orders
users|SELECT * FROM users u, orders o WHERE o.user = u.id
users|SELECT * FROM users JOIN orders ON orders.user = users.id
users|SELECT * FROM users INNER JOIN orders USING (id)
users|SELECT * FROM users LEFT JOIN orders ON orders.user = users.id
users|SELECT * FROM users LEFT OUTER JOIN orders ON orders.user = users.id
users|SELECT * FROM users RIGHT JOIN orders ON orders.user = users.id
users|SELECT * FROM users FULL OUTER JOIN orders ON orders.user = users.id
users|SELECT * FROM users CROSS JOIN orders
users|SELECT * FROM users NATURAL JOIN orders
users|SELECT * FROM users NATURAL LEFT OUTER JOIN orders
users|SELECT * FROM (users)
users|SELECT * FROM (users JOIN orders USING (id))
users|SELECT * FROM (users AS u JOIN orders AS o ON o.user = u.id) JOIN items
users|SELECT * FROM ((users JOIN orders USING (id)) JOIN items USING (id))
users|SELECT * FROM users JOIN (orders JOIN items USING (id)) USING (id)
users|SELECT * FROM users LEFT JOIN (orders o JOIN items i ON o.id = i.parent) ON o.user = users.id
users|SELECT * FROM (SELECT * FROM users)
users|SELECT * FROM (SELECT * FROM users) AS u, orders
users|SELECT * FROM (SELECT * FROM (SELECT * FROM (SELECT id FROM users)))
users|SELECT * FROM (((SELECT * FROM users)))
users|SELECT * FROM (SELECT 1 AS x) JOIN users ON users.id = x
users|SELECT * FROM (VALUES (1), (2)) JOIN users ON users.id = column1
users|SELECT * FROM (SELECT 1 UNION SELECT id FROM users)
users|SELECT * FROM (SELECT id FROM users UNION SELECT id FROM orders) ORDER BY 1
users|SELECT id FROM users UNION SELECT id FROM orders
users|SELECT id FROM users UNION ALL SELECT id FROM orders
users|SELECT id FROM users EXCEPT SELECT user FROM orders
users|SELECT id FROM users INTERSECT SELECT user FROM orders
users|SELECT id FROM users UNION VALUES ('x')
users|SELECT 1 UNION SELECT id FROM users
users|VALUES (1) UNION SELECT n FROM users
users|VALUES (1), (2) UNION ALL SELECT n FROM users
users|SELECT * FROM json_each('[1]') JOIN users ON users.id = json_each.value
users|SELECT * FROM json_each('[1]') j, users u WHERE u.id = j.value
users|SELECT * FROM users u, json_each(u.name) j
users|SELECT * FROM users u JOIN json_tree(u.name, '$.a') AS j ON j.value = u.id
users|SELECT j.value FROM users, json_each(users.name) AS j WHERE j.value > 1
users|SELECT a.id FROM users a JOIN users b ON a.id = b.id
# --- common tables
users|WITH x AS (SELECT * FROM users) SELECT * FROM x
users|WITH x AS (SELECT * FROM users), y AS (SELECT * FROM x) SELECT * FROM y
users|WITH x(a, b) AS (SELECT id, n FROM users) SELECT a FROM x
users|WITH x AS MATERIALIZED (SELECT * FROM users) SELECT * FROM x
users|WITH x AS NOT MATERIALIZED (SELECT * FROM users) SELECT * FROM x
users|WITH RECURSIVE x(i) AS (SELECT n FROM users UNION ALL SELECT i + 1 FROM x WHERE i < 9) SELECT i FROM x
users|WITH RECURSIVE t(id) AS (SELECT id FROM users UNION SELECT o.user FROM orders o JOIN t ON t.id = o.id) SELECT * FROM t
users|WITH x AS (SELECT 1 AS id) SELECT * FROM x JOIN users USING (id)
users|WITH x(id) AS (VALUES (1), (2)) SELECT * FROM x JOIN users USING (id)
users|WITH x AS (SELECT * FROM orders) SELECT * FROM users
users|WITH x AS (WITH y AS (SELECT * FROM users) SELECT * FROM y) SELECT * FROM x
users|WITH y AS (SELECT * FROM orders), x AS (WITH y AS (SELECT * FROM users) SELECT * FROM y) SELECT * FROM x
users|WITH users AS (SELECT * FROM orders) SELECT * FROM main.users
orders|WITH users AS (SELECT * FROM orders) SELECT * FROM users
users|WITH "x y" AS (SELECT * FROM users) SELECT * FROM [x y]
users|WITH X AS (SELECT * FROM users) SELECT * FROM x
users|SELECT * FROM (WITH x AS (SELECT * FROM users) SELECT * FROM x)
users|WITH a AS (SELECT * FROM b), b AS (SELECT * FROM users) SELECT * FROM a
users|WITH x AS (SELECT 'SELECT * FROM orders' AS s), y AS (SELECT * FROM users) SELECT * FROM y
users|WITH x AS (VALUES (1)) SELECT * FROM users WHERE n IN x
users|WITH a AS (SELECT 1), b AS (SELECT 1), c AS (SELECT 1), d AS (SELECT 1), e AS (SELECT 1), f AS (SELECT 1), g AS (SELECT 1), h AS (SELECT 1), i AS (SELECT 1), j AS (SELECT 1), k AS (SELECT 1), l AS (SELECT 1), m AS (SELECT 1), n AS (SELECT 1), o AS (SELECT 1), p AS (SELECT 1) SELECT * FROM p, users
users|WITH c0 AS (SELECT 1), c1 AS (SELECT 1), c2 AS (SELECT 1), c3 AS (SELECT 1), c4 AS (SELECT 1), c5 AS (SELECT 1), c6 AS (SELECT 1), c7 AS (SELECT 1), c8 AS (SELECT 1), c9 AS (SELECT 1), c10 AS (SELECT 1), c11 AS (SELECT 1), c12 AS (SELECT 1), c13 AS (SELECT 1), c14 AS (SELECT 1), c15 AS (SELECT 1), c16 AS (SELECT 1), c17 AS (SELECT 1), c18 AS (SELECT 1), c19 AS (SELECT 1), x AS (SELECT * FROM users) SELECT * FROM c19, x
# --- reading no table that is certain, among so many common ones
-|WITH c0 AS (SELECT 1), c1 AS (SELECT 1), c2 AS (SELECT 1), c3 AS (SELECT 1), c4 AS (SELECT 1), c5 AS (SELECT 1), c6 AS (SELECT 1), c7 AS (SELECT 1), c8 AS (SELECT 1), c9 AS (SELECT 1), c10 AS (SELECT 1), c11 AS (SELECT 1), c12 AS (SELECT 1), c13 AS (SELECT 1), c14 AS (SELECT 1), c15 AS (SELECT 1), c16 AS (SELECT 1), c17 AS (SELECT 1), c18 AS (SELECT 1), c19 AS (SELECT 1), c20 AS (SELECT 1), c21 AS (SELECT 1), c22 AS (SELECT 1), c23 AS (SELECT 1), c24 AS (SELECT 1), c25 AS (SELECT 1), c26 AS (SELECT 1), c27 AS (SELECT 1), c28 AS (SELECT 1), c29 AS (SELECT 1), c30 AS (SELECT 1), c31 AS (SELECT 1), c32 AS (SELECT 1), c33 AS (SELECT 1), c34 AS (SELECT 1), c35 AS (SELECT 1), c36 AS (SELECT 1), c37 AS (SELECT 1), c38 AS (SELECT 1), c39 AS (SELECT 1), c40 AS (SELECT 1), c41 AS (SELECT 1), c42 AS (SELECT 1), c43 AS (SELECT 1), c44 AS (SELECT 1), c45 AS (SELECT 1), c46 AS (SELECT 1), c47 AS (SELECT 1), c48 AS (SELECT 1), c49 AS (SELECT 1), c50 AS (SELECT 1), c51 AS (SELECT 1), c52 AS (SELECT 1), c53 AS (SELECT 1), c54 AS (SELECT 1), c55 AS (SELECT 1), c56 AS (SELECT 1), c57 AS (SELECT 1), c58 AS (SELECT 1), c59 AS (SELECT 1), c60 AS (SELECT 1), c61 AS (SELECT 1), c62 AS (SELECT 1), c63 AS (SELECT 1), c64 AS (SELECT 1), c65 AS (SELECT 1) SELECT * FROM c19
-|WITH c0 AS (SELECT 1), c1 AS (SELECT 1), c2 AS (SELECT 1), c3 AS (SELECT 1), c4 AS (SELECT 1), c5 AS (SELECT 1), c6 AS (SELECT 1), c7 AS (SELECT 1), c8 AS (SELECT 1), c9 AS (SELECT 1), c10 AS (SELECT 1), c11 AS (SELECT 1), c12 AS (SELECT 1), c13 AS (SELECT 1), c14 AS (SELECT 1), c15 AS (SELECT 1), c16 AS (SELECT 1), c17 AS (SELECT 1), c18 AS (SELECT 1), c19 AS (SELECT 1), c20 AS (SELECT 1), c21 AS (SELECT 1), c22 AS (SELECT 1), c23 AS (SELECT 1), c24 AS (SELECT 1), c25 AS (SELECT 1), c26 AS (SELECT 1), c27 AS (SELECT 1), c28 AS (SELECT 1), c29 AS (SELECT 1), c30 AS (SELECT 1), c31 AS (SELECT 1), c32 AS (SELECT 1), c33 AS (SELECT 1), c34 AS (SELECT 1), c35 AS (SELECT 1), c36 AS (SELECT 1), c37 AS (SELECT 1), c38 AS (SELECT 1), c39 AS (SELECT 1), c40 AS (SELECT 1), c41 AS (SELECT 1), c42 AS (SELECT 1), c43 AS (SELECT 1), c44 AS (SELECT 1), c45 AS (SELECT 1), c46 AS (SELECT 1), c47 AS (SELECT 1), c48 AS (SELECT 1), c49 AS (SELECT 1), c50 AS (SELECT 1), c51 AS (SELECT 1), c52 AS (SELECT 1), c53 AS (SELECT 1), c54 AS (SELECT 1), c55 AS (SELECT 1), c56 AS (SELECT 1), c57 AS (SELECT 1), c58 AS (SELECT 1), c59 AS (SELECT 1), c60 AS (SELECT 1), c61 AS (SELECT 1), c62 AS (SELECT 1), c63 AS (SELECT 1), c64 AS (SELECT 1), c65 AS (SELECT 1), users AS (SELECT * FROM orders) SELECT * FROM users
users|WITH c0 AS (SELECT 1), c1 AS (SELECT 1), c2 AS (SELECT 1), c3 AS (SELECT 1), c4 AS (SELECT 1), c5 AS (SELECT 1), c6 AS (SELECT 1), c7 AS (SELECT 1), c8 AS (SELECT 1), c9 AS (SELECT 1), c10 AS (SELECT 1), c11 AS (SELECT 1), c12 AS (SELECT 1), c13 AS (SELECT 1), c14 AS (SELECT 1), c15 AS (SELECT 1), c16 AS (SELECT 1), c17 AS (SELECT 1), c18 AS (SELECT 1), c19 AS (SELECT 1), c20 AS (SELECT 1), c21 AS (SELECT 1), c22 AS (SELECT 1), c23 AS (SELECT 1), c24 AS (SELECT 1), c25 AS (SELECT 1), c26 AS (SELECT 1), c27 AS (SELECT 1), c28 AS (SELECT 1), c29 AS (SELECT 1), c30 AS (SELECT 1), c31 AS (SELECT 1), c32 AS (SELECT 1), c33 AS (SELECT 1), c34 AS (SELECT 1), c35 AS (SELECT 1), c36 AS (SELECT 1), c37 AS (SELECT 1), c38 AS (SELECT 1), c39 AS (SELECT 1), c40 AS (SELECT 1), c41 AS (SELECT 1), c42 AS (SELECT 1), c43 AS (SELECT 1), c44 AS (SELECT 1), c45 AS (SELECT 1), c46 AS (SELECT 1), c47 AS (SELECT 1), c48 AS (SELECT 1), c49 AS (SELECT 1), c50 AS (SELECT 1), c51 AS (SELECT 1), c52 AS (SELECT 1), c53 AS (SELECT 1), c54 AS (SELECT 1), c55 AS (SELECT 1), c56 AS (SELECT 1), c57 AS (SELECT 1), c58 AS (SELECT 1), c59 AS (SELECT 1), c60 AS (SELECT 1), c61 AS (SELECT 1), c62 AS (SELECT 1), c63 AS (SELECT 1), c64 AS (SELECT 1), c65 AS (SELECT 1) SELECT * FROM main.users
users|WITH c0 AS (SELECT 1), c1 AS (SELECT 1), c2 AS (SELECT 1), c3 AS (SELECT 1), c4 AS (SELECT 1), c5 AS (SELECT 1), c6 AS (SELECT 1), c7 AS (SELECT 1), c8 AS (SELECT 1), c9 AS (SELECT 1), c10 AS (SELECT 1), c11 AS (SELECT 1), c12 AS (SELECT 1), c13 AS (SELECT 1), c14 AS (SELECT 1), c15 AS (SELECT 1), c16 AS (SELECT 1), c17 AS (SELECT 1), c18 AS (SELECT 1), c19 AS (SELECT 1), c20 AS (SELECT 1), c21 AS (SELECT 1), c22 AS (SELECT 1), c23 AS (SELECT 1), c24 AS (SELECT 1), c25 AS (SELECT 1), c26 AS (SELECT 1), c27 AS (SELECT 1), c28 AS (SELECT 1), c29 AS (SELECT 1), c30 AS (SELECT 1), c31 AS (SELECT 1), c32 AS (SELECT 1), c33 AS (SELECT 1), c34 AS (SELECT 1), c35 AS (SELECT 1), c36 AS (SELECT 1), c37 AS (SELECT 1), c38 AS (SELECT 1), c39 AS (SELECT 1), c40 AS (SELECT 1), c41 AS (SELECT 1), c42 AS (SELECT 1), c43 AS (SELECT 1), c44 AS (SELECT 1), c45 AS (SELECT 1), c46 AS (SELECT 1), c47 AS (SELECT 1), c48 AS (SELECT 1), c49 AS (SELECT 1), c50 AS (SELECT 1), c51 AS (SELECT 1), c52 AS (SELECT 1), c53 AS (SELECT 1), c54 AS (SELECT 1), c55 AS (SELECT 1), c56 AS (SELECT 1), c57 AS (SELECT 1), c58 AS (SELECT 1), c59 AS (SELECT 1), c60 AS (SELECT 1), c61 AS (SELECT 1), c62 AS (SELECT 1), c63 AS (SELECT 1), c64 AS (SELECT 1), c65 AS (SELECT 1) UPDATE users SET n = 1
# --- reading no table
-|SELECT 1
-|SELECT 1;
-|SELECT NULL WHERE 0
-|SELECT 'FROM users'
-|SELECT (SELECT id FROM users)
-|SELECT EXISTS (SELECT 1 FROM users)
-|SELECT datetime('now'), random(), changes()
-|SELECT 1 UNION SELECT 2 ORDER BY 1
-|SELECT 1 IN logs
-|VALUES (1)
-|VALUES (1, 2), (3, 4)
-|VALUES (1) UNION VALUES (2)
-|VALUES ((SELECT count(*) FROM users))
-|WITH x AS (SELECT 1) SELECT * FROM x
-|WITH x AS (SELECT * FROM users) SELECT 1
-|WITH x AS (SELECT 1) VALUES (1)
-|WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT sum(i) FROM n
-|SELECT * FROM (SELECT 1)
-|SELECT * FROM (VALUES (1), (2))
-|SELECT * FROM json_each('[1, 2]')
-|SELECT * FROM json_each('[1, 2]') ORDER BY value
-|SELECT * FROM json_each('[1]') a JOIN json_each('[2]') b
-|SELECT * FROM pragma_table_info('users')
# --- other names
my "own" users|SELECT * FROM "my ""own"" users"
my "own" users|SELECT * FROM [my "own" users]
my "own" users|SELECT * FROM `my "own" users`
my "own" users|SELECT * FROM 'my "own" users'
my "own" users|SELECT * FROM main."my ""own"" users" AS m
my "own" users|SELECT "a b", [c;d] FROM "my ""own"" users" WHERE [c;d] = ';'
größe$1|SELECT straße FROM größe$1
größe$1|SELECT "straße" FROM "größe$1"
replace|SELECT key, value FROM replace
replace|SELECT replace(key, 'a', 'b') FROM replace
trigger|SELECT id, "end" FROM trigger
trigger|SELECT trigger.id FROM trigger
names|SELECT * FROM names
names|SELECT count(*) FROM names
words|SELECT * FROM words WHERE words MATCH 'x'
-|SELECT rowid, body FROM words('x')
t|SELECT * FROM temp.t
t|SELECT a FROM t
sqlite_master|SELECT name FROM sqlite_master
sqlite_schema|SELECT name FROM sqlite_schema
sqlite_temp_master|SELECT name FROM sqlite_temp_master
# --- inserting
users|INSERT INTO users VALUES ('a', 'b', 1)
users|insert into users values (?, ?, ?);
users|INSERT INTO users (id, name) VALUES (:id, :name)
users|INSERT INTO users(id)VALUES('a'),('b'),('c')
users|INSERT INTO "users" ("id") VALUES ('a')
users|INSERT INTO [users] ([id]) VALUES ('a')
users|INSERT INTO main.users VALUES (1, 2, 3)
users|INSERT INTO 'users' VALUES (1, 2, 3)
users|INSERT INTO users AS u (id) VALUES ('a')
users|INSERT INTO users DEFAULT VALUES
users|INSERT OR IGNORE INTO users VALUES (1, 2, 3)
users|INSERT OR REPLACE INTO users VALUES (1, 2, 3)
users|INSERT OR ABORT INTO users VALUES (1, 2, 3)
users|INSERT OR FAIL INTO users VALUES (1, 2, 3)
users|INSERT OR ROLLBACK INTO users VALUES (1, 2, 3)
users|REPLACE INTO users VALUES (1, 2, 3)
replace|REPLACE INTO replace VALUES (1, 2, 3)
users|INSERT INTO users SELECT id, note, n FROM orders
users|INSERT INTO users SELECT * FROM users
users|INSERT INTO users (id) SELECT user FROM orders WHERE n > 1 ORDER BY n LIMIT 3
users|INSERT INTO users VALUES ((SELECT max(id) FROM orders), 'x', 1)
users|INSERT INTO users WITH x AS (SELECT * FROM orders) SELECT id, user, n FROM x
users|WITH x AS (SELECT * FROM orders) INSERT INTO users SELECT id, user, n FROM x
users|WITH users AS (SELECT id, user, n FROM orders) INSERT INTO users SELECT * FROM users
users|WITH x(i) AS (VALUES (1)) REPLACE INTO users (id) SELECT i FROM x
users|INSERT INTO users (id) VALUES ('a') ON CONFLICT DO NOTHING
users|INSERT INTO users (id) VALUES ('a') ON CONFLICT (id) DO NOTHING
users|INSERT INTO users (id, n) VALUES ('a', 1) ON CONFLICT (id) DO UPDATE SET n = n + 1
users|INSERT INTO users (id, n) VALUES ('a', 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE users.n < excluded.n
users|INSERT INTO users AS u (id, n) VALUES ('a', 1) ON CONFLICT (id) DO UPDATE SET n = u.n + excluded.n RETURNING n
users|INSERT INTO users SELECT id, user, n FROM orders WHERE true ON CONFLICT (id) DO UPDATE SET name = excluded.name
users|INSERT INTO users (id, n) VALUES ('a', 1) ON CONFLICT (id) DO UPDATE SET (n, name) = (1, 'b') RETURNING *
users|INSERT INTO users (id) VALUES ('a') ON CONFLICT (id) DO UPDATE SET n = (SELECT count(*) FROM orders)
users|INSERT INTO users VALUES ('a', 'b', 1) RETURNING id
users|INSERT INTO users VALUES ('a', 'b', 1) RETURNING *
users|INSERT INTO users VALUES ('a', 'b', 1) RETURNING id, n AS number, n + 1, name || 'x' AS "the name"
users|INSERT INTO users VALUES ('a', 'b', 1) RETURNING users.id, users.n number
users|INSERT INTO users VALUES ('a', 'b', 1) RETURNING (SELECT count(*) FROM orders)
users|INSERT INTO users VALUES ('a', 'b', 1) RETURNING *, id, *, ?1
users|INSERT INTO users VALUES (?, ?, ?) RETURNING CASE WHEN n THEN 1 END, x'00', 'text', id ISNULL, n NOT NULL
users|INSERT INTO users VALUES (?, ?, ?) RETURNING id 'a', n "b", name [c], rowid `d`
users|INSERT INTO users VALUES (?, ?, ?) RETURNING n IS NOT NULL, NOT n, n COLLATE NOCASE, CAST(n AS TEXT) t
users|INSERT INTO users VALUES (?, ?, ?) RETURNING n -- the number\n, id /* and, the key */
users|INSERT INTO users VALUES ('RETURNING id', 'b', 1)
orders|INSERT INTO orders VALUES (NULL, 'a', 1, x'00ff')
names|UPDATE names SET name = 'x' WHERE id = 1
words|INSERT INTO words VALUES ('a b c')
words|INSERT INTO words(words) VALUES ('optimize')
my "own" users|INSERT INTO "my ""own"" users" VALUES (1, 2, 3)
größe$1|INSERT INTO größe$1 VALUES (1, 'ü')
trigger|INSERT INTO trigger VALUES (1, 'end'); -- END;
t|INSERT INTO temp.t VALUES (1, 2, 3)
# --- changing
users|UPDATE users SET n = 1
users|UPDATE users SET n = n + 1 WHERE id = ?
users|UPDATE "users" SET "n" = 1
users|UPDATE main.users SET n = 1
users|UPDATE users AS u SET n = u.n + 1 WHERE u.id = 'a'
users|UPDATE OR IGNORE users SET id = 'b'
users|UPDATE OR REPLACE users SET id = 'b'
users|UPDATE OR ROLLBACK users SET id = 'b'
users|UPDATE users SET (name, n) = ('a', 1)
users|UPDATE users SET (name, n) = (SELECT user, n FROM orders LIMIT 1)
users|UPDATE users SET n = (SELECT count(*) FROM orders WHERE user = users.id)
users|UPDATE users SET n = o.n FROM orders o WHERE o.user = users.id
users|UPDATE users SET n = o.n FROM orders o JOIN items i ON i.parent = o.id WHERE o.user = users.id
users|UPDATE users SET n = s.n FROM (SELECT user, sum(n) AS n FROM orders GROUP BY user) s WHERE s.user = users.id
users|UPDATE users INDEXED BY by_name SET n = 1 WHERE name = 'a'
users|UPDATE users NOT INDEXED SET n = 1
users|UPDATE users SET n = 1 RETURNING *
users|UPDATE users SET n = n + 1 WHERE id = :id RETURNING id, n
users|UPDATE users SET n = 1 FROM orders o WHERE o.user = users.id RETURNING users.id, n
users|WITH x AS (SELECT * FROM orders) UPDATE users SET n = (SELECT max(n) FROM x)
users|WITH x AS (SELECT * FROM orders) UPDATE users SET n = x.n FROM x WHERE x.user = users.id
users|WITH RECURSIVE x(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM x LIMIT 3) UPDATE users SET n = (SELECT max(i) FROM x)
users|UPDATE users SET name = 'DELETE FROM orders; UPDATE orders'
my "own" users|UPDATE "my ""own"" users" SET [c;d] = ';' WHERE "a b" = 1
replace|UPDATE replace SET key = replace(key, 'a', 'b')
# --- deleting
users|DELETE FROM users
users|DELETE FROM users WHERE id = ?
users|delete from "users" where "id" = 'a'
users|DELETE FROM main.users
users|DELETE FROM users AS u WHERE u.id = 'a'
users|DELETE FROM users INDEXED BY by_name WHERE name = 'a'
users|DELETE FROM users WHERE id IN (SELECT user FROM orders)
users|DELETE FROM users WHERE NOT EXISTS (SELECT 1 FROM orders WHERE user = users.id)
users|DELETE FROM users WHERE id = 'a' RETURNING *
users|DELETE FROM users RETURNING id, name || '!' AS "name!"
users|WITH x AS (SELECT user FROM orders) DELETE FROM users WHERE id IN x
users|DELETE FROM users WHERE n = 1 ORDER BY id LIMIT 1
users|DELETE FROM users -- WHERE id = 'a'
# --- schema
new|CREATE TABLE new (id INTEGER PRIMARY KEY, v TEXT NOT NULL DEFAULT 'x;y' CHECK (v <> ';'))
new|CREATE TABLE IF NOT EXISTS new (id)
new|CREATE TABLE main.new (id)
new|CREATE TEMP TABLE new (id)
new|CREATE TEMPORARY TABLE IF NOT EXISTS new (id)
new|CREATE TABLE new AS SELECT * FROM users
new|CREATE TABLE new (id TEXT PRIMARY KEY) WITHOUT ROWID, STRICT
new|CREATE TABLE new (id TEXT PRIMARY KEY, a INT GENERATED ALWAYS AS (1) STORED, FOREIGN KEY (id) REFERENCES users (id) ON DELETE CASCADE)
new|CREATE TABLE "new" ("id;" INT)
new|CREATE VIRTUAL TABLE new USING fts5(body, tokenize = 'porter ascii')
new|CREATE VIRTUAL TABLE IF NOT EXISTS main.new USING fts5(a, b)
users|CREATE TABLE IF NOT EXISTS users (id)
users|CREATE INDEX new ON users (name)
users|CREATE UNIQUE INDEX IF NOT EXISTS main.new ON users (name COLLATE NOCASE DESC) WHERE n > 1
users|CREATE INDEX new ON users (lower(name))
-|CREATE VIEW new AS SELECT * FROM users
-|CREATE TEMP VIEW IF NOT EXISTS new (a) AS SELECT id FROM users
-|CREATE TRIGGER new AFTER INSERT ON users BEGIN DELETE FROM orders; END
-|CREATE TRIGGER new AFTER INSERT ON users BEGIN DELETE FROM orders; END;
-|CREATE TRIGGER IF NOT EXISTS new BEFORE UPDATE OF name ON users FOR EACH ROW WHEN new.n > 1 BEGIN SELECT CASE WHEN new.n = 2 THEN RAISE(ABORT, 'no; END;') END; UPDATE orders SET n = 1; END;
-|CREATE TEMP TRIGGER new INSTEAD OF DELETE ON names BEGIN SELECT 1; SELECT 2; END -- ;
-|CREATE TRIGGER "end" AFTER DELETE ON trigger BEGIN INSERT INTO trigger VALUES (1, "end"); SELECT "end" FROM trigger; END;
-|CREATE TRIGGER main.new AFTER INSERT ON users BEGIN SELECT 1 AS 'END'; END
users|ALTER TABLE users ADD COLUMN age INT
users|ALTER TABLE users RENAME TO people
users|ALTER TABLE main.users RENAME COLUMN n TO m
users|ALTER TABLE users DROP COLUMN n
users|DROP TABLE users
users|DROP TABLE IF EXISTS main.users
missing|DROP TABLE IF EXISTS missing
-|DROP VIEW names
-|DROP VIEW IF EXISTS missing
-|DROP TRIGGER noted
-|DROP INDEX by_name
-|DROP INDEX IF EXISTS missing
# --- everything else
-|BEGIN
-|BEGIN TRANSACTION
-|BEGIN IMMEDIATE TRANSACTION
-|BEGIN EXCLUSIVE
-|BEGIN DEFERRED;
-|COMMIT
-|COMMIT TRANSACTION
-|END
-|END TRANSACTION;
-|ROLLBACK
-|ROLLBACK TRANSACTION TO SAVEPOINT s
-|ROLLBACK TO s
-|SAVEPOINT s
-|SAVEPOINT "SELECT"
-|RELEASE s
-|RELEASE SAVEPOINT s
-|ATTACH 'x.db' AS x
-|ATTACH DATABASE ? AS ?
-|ATTACH ':memory:' AS [x;y]
-|DETACH x
-|DETACH DATABASE x
-|PRAGMA user_version
-|PRAGMA user_version = 7
-|PRAGMA main.table_info(users)
-|PRAGMA journal_mode = WAL;
-|PRAGMA foreign_keys(ON)
-|PRAGMA writable_schema = 1
-|PRAGMA nothing_of_the_kind
-|EXPLAIN SELECT * FROM users
-|EXPLAIN QUERY PLAN SELECT * FROM users
-|EXPLAIN QUERY PLAN DELETE FROM users
-|EXPLAIN INSERT INTO users VALUES (1, 2, 3)
-|EXPLAIN CREATE TRIGGER new AFTER INSERT ON users BEGIN SELECT 1; END;
-|EXPLAIN BEGIN
-|EXPLAIN PRAGMA user_version
-|VACUUM
-|VACUUM main
-|VACUUM INTO 'x.db'
-|ANALYZE
-|ANALYZE users
-|REINDEX
-|REINDEX users
# --- several statements, and junk behind one
users|SELECT * FROM users; SELECT * FROM orders
users|SELECT * FROM users; DELETE FROM users
users|SELECT * FROM users;;DELETE FROM users
users|SELECT * FROM users; -- DELETE\nDELETE FROM users
users|SELECT * FROM users; /* DELETE */ DELETE FROM users
users|SELECT * FROM users;)
users|SELECT * FROM users; 'junk
users|SELECT * FROM users; "
users|SELECT * FROM users; /*
users|SELECT * FROM users; --
users|SELECT * FROM users; /
users|SELECT * FROM users; \uFEFF
users|SELECT * FROM users; \u00A0
users|SELECT $a(;) FROM users; DELETE FROM users
users|SELECT [;] FROM (SELECT 1 AS [;]), users; DELETE FROM users
-|BEGIN; DELETE FROM users; COMMIT
-|CREATE TRIGGER new AFTER INSERT ON users BEGIN SELECT 1; END; DROP TABLE users
-|CREATE TRIGGER new AFTER INSERT ON users BEGIN SELECT 1; END; END
-|CREATE VIEW new AS SELECT 1; END; DROP TABLE users
new|CREATE TABLE new (trigger); SELECT 1; END;
# --- no statement
-|
-|;
-| ;; \n;
-|-- SELECT 1
-|/* SELECT 1 */
-|/* SELECT 1
-|\uFEFF
# --- refused
!|SELECT 1FROM users
!|SELECT 1.5e3FROM users
!|WITH recursive AS (SELECT * FROM users) SELECT * FROM recursive
!|WITH x AS (DELETE FROM orders) DELETE FROM users
!|CREATE TABLE new (id) STRICT
!|SELECT * FROM
!|SELECT * FROM users WHERE
!|SELECT * FROM missing
!|SELECT * FROM users)
!|SELECT * FROM "users
!|SELECT 'x
!|SELECT * FROM users users users
!|WITH x AS (SELECT 1)
!|WITH x AS (SELECT 1) CREATE TABLE new (id)
!|WITH x AS (SELECT 1) EXPLAIN SELECT 1
!|WITH x AS (SELECT 1), SELECT 1
!|INSERT users VALUES (1, 2, 3)
!|INSERT INTO users
!|REPLACE users
!|UPDATE users
!|DELETE users
!|UPDATE FROM SET n = 1
!|DROP users
!|EXPLAIN EXPLAIN SELECT 1
!|EXPLAIN
!|EXPLAIN;
!|CREATE TRIGGER new AFTER INSERT ON users BEGIN SELECT 1; END END
!|CREATE TRIGGER new AFTER INSERT ON users BEGIN END
!|SELECT 1 SELECT 2
!|SELECT 1,
!|SELECT $ FROM users
!|SELECT @ FROM users
!|SELECT ?0 FROM users
!|SELECT ?999999 FROM users
!|SELECT x'0' FROM users
!|SELECT x'zz' FROM users
!|SELECT 1x FROM users
!|SELECT 0xg FROM users
!|SELECT \u00A0 FROM users
!|FROM users SELECT *
!|(SELECT * FROM users)
!|"SELECT" * FROM users
!|SELECTED
!|GRANT ALL ON users TO me
!|.tables
