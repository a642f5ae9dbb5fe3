// Customers of the shop of examples/d1-fleet-worker.js: node shopper.mjs URL NUMBER
// Orders one after the other until its input ends; then prints what was acknowledged: { customer: [orders, spent] }.
const [url, number] = process.argv.slice(2);
const regions = ["eu", "us", "asia"];
const acknowledged = {};
let on = true;
process.stdin.resume();
process.stdin.on("end", () => (on = false));

async function order(i) {
  const n = (i * 7 + Number(number) * 13) % 150;
  const customer = n % 10 === 9 ? `new-${number}-${i}` : `c${n + 1}`; // now and then one who was never here
  const region = regions[(n % 10 === 9 ? i : n) % 3];
  const body = { customer, region, order: `o-${number}-${i}`, amount: 1 + (i % 5) };
  const response = await fetch(`${url}/shop`, { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${response.status} ${(await response.text()).slice(0, 400)}`);
  const [orders, spent] = acknowledged[customer]?.slice(0, 2) ?? [0, 0];
  acknowledged[customer] = [orders + 1, spent + body.amount, region];
}

try {
  for (let i = 1; on && i < 100000; i++) await order(i);
  console.log(JSON.stringify(acknowledged));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
