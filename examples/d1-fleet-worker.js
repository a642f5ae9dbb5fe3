// A shop's Worker, as it may be before CollegeDB comes: each region has a D1 database of its own, and the Worker knows
// which one. It goes on like that while keys are moved between the databases, with one addition, `at`: a write that
// the fence refuses is done where the customer is now, and a read that finds nothing looks there.
//
// Bindings: DB_EU, DB_US and DB_ASIA, and whatever databases are added.

const homes = { eu: "DB_EU", us: "DB_US", asia: "DB_ASIA" };

// Where a customer has gone, by the database that it was in: its note of the key, or null.
async function whereTo(database, customer) {
  try {
    return await database
      .prepare("SELECT peer, state FROM _collegedb_own WHERE keyspace = '' AND key = ? AND state <> 'active'")
      .bind(customer)
      .first();
  } catch (error) {
    if (/no such table/.test(error.message)) return null; // no key has ever moved here
    throw error;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Runs a statement at the customer's database; follows where the customer has been moved to.
async function at(env, binding, customer, sql, ...params) {
  for (let attempt = 0; attempt < 200; attempt++) {
    let result = null;
    try {
      result = await env[binding].prepare(sql).bind(...params).run();
    } catch (error) {
      if (!/collegedb:moved/.test(error.message)) throw error;
    }
    if (result && (result.meta.changes > 0 || result.results.length > 0)) return result;
    const gone = await whereTo(env[binding], customer);
    if (!gone && result) return result;
    if (gone?.state === "sent" || gone?.state === "tomb") binding = gone.peer;
    await pause(20); // it is on its way
  }
  throw new Error(`${customer} is on its way for too long`);
}

// POST / with { customer, region, order, amount }: a new customer, or one more order.
async function take(env, { customer, region, order, amount }) {
  const home = homes[region];
  await at(env, home, customer, "INSERT INTO customers VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET region = region",
    customer, region);
  await at(env, home, customer, "INSERT INTO orders VALUES (?, ?, ?)", order, customer, amount);
  await at(env, home, customer, "UPDATE customers SET spent = spent + ? WHERE name = ?", amount, customer);
}

// GET /?customer=NAME&region=REGION
async function show(env, { customer, region }) {
  const sql = `SELECT name, spent, (SELECT count(*) FROM orders WHERE customer = name) AS orders
    FROM customers WHERE name = ?`;
  const { results } = await at(env, homes[region], customer, sql, customer);
  return results[0] ?? null;
}

export default {
  async fetch(request, env) {
    if (request.method === "POST") {
      await take(env, await request.json());
      return Response.json({ taken: true });
    }
    return Response.json(await show(env, Object.fromEntries(new URL(request.url).searchParams)));
  },
};
