// What the gateway is measured against: the same D1 call by a Worker that looks at nothing.
export default {
  async fetch(request, env) {
    const { sql, params } = await request.json();
    return Response.json(await env.DB.prepare(sql).bind(...params).all());
  },
};
