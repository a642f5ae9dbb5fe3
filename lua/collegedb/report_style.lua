--- The style sheet of a report's page. Colours are named once for each theme, and chosen so that text has a contrast of
-- at least 4.5 and charts of at least 3 to what they stand on.

return [[
:root {
  color-scheme: light dark;
  --paper: #fbfbfa; --card: #ffffff; --ink: #1b1f24; --soft: #59616a;
  --line: #e3e5e8; --rule: #b9bfc6; --track: #eceef0;
  --key: #3b64c4; --byte: #4f6b8f; --read: #2f6fb5; --write: #b3621a; --fail: #c0392f;
  --good: #1d7a46; --good-wash: #eef7f1; --attention: #8c5a00; --attention-wash: #fdf6e6;
  --bad: #b3261e; --bad-wash: #fcf0ef;
  --sans: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #121518; --card: #181c20; --ink: #e4e7ea; --soft: #9ba4ad;
    --line: #2a3037; --rule: #565f69; --track: #242a30;
    --key: #7ea2f2; --byte: #93aac8; --read: #6fb0f0; --write: #e39a54; --fail: #f0776c;
    --good: #62c48c; --good-wash: #14231b; --attention: #e2b45a; --attention-wash: #262013;
    --bad: #ff8f85; --bad-wash: #2b1816;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 var(--sans);
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.75rem; }
header { padding-top: 2.75rem; }
a { color: inherit; text-decoration: underline; text-decoration-color: var(--rule);
  text-decoration-thickness: 1px; text-underline-offset: .22em; }
a:hover { text-decoration-color: currentcolor; }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--key); outline-offset: 2px; border-radius: 2px; }
code, .mono { font-family: var(--mono); font-size: .92em; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; font-weight: 650; letter-spacing: -.015em; }
h2 { margin: 0 0 .25rem; font-size: 1.12rem; line-height: 1.3; font-weight: 650; letter-spacing: -.008em; }
h3 { margin: 0; font-size: .95rem; font-weight: 600; }
p { margin: .25rem 0; max-width: 44rem; }
.soft { color: var(--soft); }
.made { margin: .45rem 0 0; color: var(--soft); font-size: .9rem; max-width: none; }
.made span { display: inline-block; max-width: 100%; }
.made span:not(:last-child)::after { content: "·"; margin: 0 .5em; }

.health { margin: 1.75rem 0 0; padding: .95rem 1.15rem; border-radius: 8px; border: 1px solid var(--line); }
.health.good { background: var(--good-wash); }
.health.attention { background: var(--attention-wash); }
.health.bad { background: var(--bad-wash); }
.health p { margin: 0; max-width: none; }
.verdict { display: flex; gap: .6rem; align-items: baseline; font-weight: 600; }
.verdict svg, .health li svg { flex: none; width: 14px; height: 14px; position: relative; top: 2px; }
.good .sign, .sign.good { fill: var(--good); } .attention .sign, .sign.attention { fill: var(--attention); }
.bad .sign, .sign.bad { fill: var(--bad); }
.sign .drawn { fill: none; stroke: var(--card); stroke-width: 1.6; }
.health ul { list-style: none; margin: .6rem 0 0; padding: 0; }
.health li { display: flex; gap: .6rem; align-items: baseline; padding: .14rem 0; }

.tiles { display: grid; grid-template-columns: repeat(4, 1fr); margin: 1.75rem 0 0; border-top: 1px solid var(--line);
  border-bottom: 1px solid var(--line); }
.tiles div { padding: .85rem .5rem .85rem 0; }
.tiles dt { color: var(--soft); font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; letter-spacing: -.01em; line-height: 1.3; }
.tiles dd small { display: block; font-size: .8rem; font-weight: 400; letter-spacing: 0; color: var(--soft); }

section { margin-top: 3rem; scroll-margin-top: 1rem; }
.lead { color: var(--soft); margin-bottom: 1rem; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem 3rem; align-items: start; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .75rem 0 0; padding: 0; list-style: none;
  color: var(--soft); font-size: .82rem; }
.legend li { display: flex; align-items: center; gap: .45rem; }
.legend svg { width: 14px; height: 14px; flex: none; }

table { width: 100%; border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; font-weight: 600; font-size: .95rem; padding: 0 0 .3rem; }
th, td { text-align: left; vertical-align: top; padding: .42rem .75rem .42rem 0;
  border-top: 1px solid var(--line); }
thead th { border-top: 0; padding-top: .1rem; padding-bottom: .3rem; color: var(--soft); font-weight: 400;
  font-size: .8rem; }
thead td { border-top: 0; }
tbody th { font-weight: 500; }
tbody th small, td small { display: block; color: var(--soft); font-weight: 400; font-size: .8rem; line-height: 1.35; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; }
.shares th:first-child { width: 27%; } .shares .chart { width: 38%; }
.failed th:first-child { width: 36%; } .failed .chart { width: 28%; }
td svg { display: block; margin-top: .08rem; overflow: visible; }
.dense th, .dense td { padding-top: .12rem; padding-bottom: .12rem; }
.tag { display: inline-block; font-size: .78rem; font-weight: 500; color: var(--attention); }
.tag.bad { color: var(--bad); }

.track { fill: var(--track); } .fill { fill: var(--key); } .fill.byte { fill: var(--byte); }
.fill.fail { fill: var(--fail); } .fill.cache { fill: var(--good); }
.mark { stroke: var(--ink); stroke-width: 2; }
.rail { stroke: var(--track); stroke-width: 2; } .way { stroke: var(--key); stroke-width: 2; }
.before { fill: var(--paper); stroke: var(--soft); stroke-width: 2; } .after { fill: var(--key); }
svg text { font: 11px var(--sans); fill: var(--soft); }
svg .name { fill: var(--ink); }
.grid { stroke: var(--line); } .base { stroke: var(--soft); }
.column.read, .key-read { fill: var(--read); } .column.write, .key-write { fill: var(--write); }
.quantile { stroke: var(--ink); stroke-dasharray: 2 2; }
svg.latency { display: block; margin: .5rem 0 .35rem; overflow: visible; }

.cards { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 2.25rem 3rem; margin-top: 1.25rem; }
.card table { font-size: .84rem; }
.card td, .card th { padding: .25rem .5rem .25rem 0; }
.card td:last-child, .card th:last-child { padding-right: 0; }
.card tbody th::before { content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 2px;
  margin-right: .45em; }
.card .reads th::before { background: var(--read); } .card .writes th::before { background: var(--write); }
details { font-size: .84rem; }
summary { cursor: pointer; color: var(--soft); padding: .3rem 0; width: fit-content; }
h2 + .pair { margin-top: .9rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .4rem 1.25rem; margin: .5rem 0 0;
  font-size: .9rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; min-width: 0; }
.facts dd svg { display: block; max-width: 12rem; }
.kind { margin: 1.1rem 0 .35rem; }
.keylist { display: block; font-family: var(--mono); font-size: .9em; margin: .1rem 0; }
.findings { list-style: none; margin: 0; padding: 0; font-size: .9rem; }
.findings li { padding: .5rem 0; border-top: 1px solid var(--line); }
.findings small { display: block; color: var(--soft); font-size: .84rem; }
footer { margin-top: 3.5rem; padding-top: 1.1rem; padding-bottom: 2.5rem; color: var(--soft); font-size: .84rem; }

@media (max-width: 46rem) {
  main, header, footer { padding-left: 1rem; padding-right: 1rem; }
  header { padding-top: 1.5rem; }
  h1 { font-size: 1.4rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .pair, .cards { grid-template-columns: minmax(0, 1fr); }
  section { margin-top: 2.25rem; }
  th, td { padding-right: .5rem; }
}
@media print {
  @page { margin: 14mm; }
  body { background: #fff; font-size: 10.5pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main, header, footer { max-width: none; padding: 0; }
  .card, tr, .findings li, .health, .tiles { break-inside: avoid; }
  h2, h3, caption, .lead { break-after: avoid; }
  details:not([open]) { display: none; }
  section { margin-top: 1.6rem; }
}
]]
