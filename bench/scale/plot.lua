--- Line charts as SVG files of their own, light and dark, with a logarithmic axis along.

local plot = {}

local WIDTH <const>, HEIGHT <const> = 720, 360
local LEFT <const>, RIGHT <const>, TOP <const>, BOTTOM <const> = 72, 150, 44, 52

local STYLE <const> = [[<style>
  :root { --ground: #ffffff; --ink: #1b2430; --soft: #56616f; --grid: #dde2e8;
    --s1: #1d63c4; --s2: #b4510a; --s3: #1b7f4d; }
  @media (prefers-color-scheme: dark) {
    :root { --ground: #10161d; --ink: #e6ebf1; --soft: #a3afbc; --grid: #2b3541;
      --s1: #7db1ff; --s2: #f0a35e; --s3: #63cf98; }
  }
  .ground { fill: var(--ground); } text { fill: var(--ink); } .soft { fill: var(--soft); font-size: 12px; }
  .grid { stroke: var(--grid); } .head { font-weight: 600; font-size: 15px; }
  .line { fill: none; stroke-width: 2; }
  .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); } .s3 { stroke: var(--s3); }
  .d1 { fill: var(--s1); } .d2 { fill: var(--s2); } .d3 { fill: var(--s3); }
</style>]]

local function text(class, x, y, anchor, content)
  return ('<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>'):format(class, x, y, anchor, content)
end

-- A step of the axis upwards, so that there are four to seven of them: 1, 2 or 5 times a power of ten.
local function step_of(most)
  local power = 10 ^ math.floor(math.log(most / 4, 10))
  for _, factor in ipairs { 1, 2, 5, 10 } do
    if most / (factor * power) <= 7 then return factor * power end
  end
end

--- Writes a chart.
---@param path string
---@param chart { title: string, along: string, up: string, ticks: { at: number, label: string }[],
--- lines: { label: string, points: { [1]: number, [2]: number }[] }[] } at most three lines; the up axis begins at 0
function plot.write(path, chart)
  local first, last, most = chart.ticks[1].at, chart.ticks[#chart.ticks].at, 0
  for _, line in ipairs(chart.lines) do
    for _, point in ipairs(line.points) do most = math.max(most, point[2]) end
  end
  local step = step_of(most)
  local top = math.ceil(most / step) * step
  local function x_of(at) return LEFT + (WIDTH - LEFT - RIGHT) * math.log(at / first) / math.log(last / first) end
  local function y_of(value) return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top end
  local out = {
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" font-size="13" '
      .. 'font-family="system-ui, sans-serif">'):format(WIDTH, HEIGHT, chart.title),
    STYLE, ('<rect class="ground" width="%d" height="%d"/>'):format(WIDTH, HEIGHT),
    text("head", LEFT, 22, "start", chart.title),
    text("soft", LEFT, HEIGHT - 12, "start", chart.along), text("soft", LEFT - 8, TOP - 10, "end", chart.up),
  }
  for value = 0, top + step / 2, step do
    local y = y_of(value)
    out[#out + 1] = ('<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>'):format(LEFT, WIDTH - RIGHT, y, y)
    out[#out + 1] = text("soft", LEFT - 8, y + 4, "end", ("%g"):format(value))
  end
  for _, tick in ipairs(chart.ticks) do
    out[#out + 1] = text("soft", x_of(tick.at), HEIGHT - BOTTOM + 18, "middle", tick.label)
  end
  for i, line in ipairs(chart.lines) do
    local points = {}
    for n, point in ipairs(line.points) do
      points[n] = ("%.1f,%.1f"):format(x_of(point[1]), y_of(point[2]))
      out[#out + 1] = ('<circle class="d%d" cx="%.1f" cy="%.1f" r="3.5"/>'):format(i, x_of(point[1]), y_of(point[2]))
    end
    out[#out + 1] = ('<polyline class="line s%d" points="%s"/>'):format(i, table.concat(points, " "))
    local at = line.points[#line.points]
    out[#out + 1] = text("", x_of(at[1]) + 10, y_of(at[2]) + 4, "start", line.label)
  end
  out[#out + 1] = "</svg>\n"
  local file <close> = assert(io.open(path, "w"))
  file:write(table.concat(out, "\n"))
end

return plot
