// Opens pages in Chromium, in both themes, on a desktop and on a phone, and prints what it saw as JSON:
//
//     node look.mjs PAGE.html …   →   { "PAGE.html": { "light 1200": { … }, "dark 360": { … }, … } }

import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { chromium } from "playwright-core"

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"]

// Runs in the page.
function measure() {
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const numbers = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number)
  const ratio = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x)
    return (high + 0.05) / (low + 0.05)
  }
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor)
      if (colour.length === 3 || colour[3] > 0) return colour
    }
    return [255, 255, 255]
  }
  const pale = []
  const check = (element, colour, least) => {
    const seen = ratio(numbers(colour), ground(element))
    if (seen < least) pale.push(`${element.tagName}.${element.getAttribute("class")} ${colour}: ${seen.toFixed(2)}`)
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest("title, desc")) continue
    const style = getComputedStyle(element)
    check(element, element.closest("svg") ? style.fill : style.color, 4.5)
  }
  for (const each of document.querySelectorAll(".fill, .column, .after")) check(each, getComputedStyle(each).fill, 3)
  for (const each of document.querySelectorAll(".mark, .quantile, .way")) check(each, getComputedStyle(each).stroke, 3)

  const along = (chart, x) => (x - chart.getBoundingClientRect().left) / chart.getBoundingClientRect().width
  const part = (chart, name) => chart.querySelector(name)?.getBoundingClientRect()
  const rows = (table) => [...table.tBodies[0].rows].map((row) => {
    const chart = row.querySelector("svg"), fill = chart && part(chart, ".fill"), mark = chart && part(chart, ".mark")
    const before = chart && part(chart, ".before"), after = chart && part(chart, ".after")
    const middle = (box) => box && along(chart, box.left + box.width / 2)
    return {
      texts: [...row.cells].filter((cell) => !cell.querySelector("svg")).map((cell) => cell.innerText.trim()),
      fill: fill ? fill.width / part(chart, ".track").width : 0,
      mark: middle(mark), before: middle(before), after: middle(after),
    }
  })
  const columns = (chart, name) => [...chart.querySelectorAll(`.column.${name}`)].map((column) => {
    const box = column.getBoundingClientRect()
    return { from: along(chart, box.left), to: along(chart, box.right), height: box.height }
  })
  const svgs = [...document.querySelectorAll("svg:not([aria-hidden])")]
  return {
    width: document.documentElement.scrollWidth, pale,
    elements: [...new Set([...document.querySelectorAll("*")].map((each) => each.tagName.toLowerCase()))].sort(),
    untitled: svgs.filter((svg) => !svg.querySelector("title")?.textContent.trim()).length,
    health: document.querySelector(".verdict").innerText, findings: [...document.querySelectorAll(".health li")]
      .map((each) => each.innerText.trim()),
    tiles: Object.fromEntries([...document.querySelectorAll(".tiles div")]
      .map((each) => [each.querySelector("dt").innerText, each.querySelector("dd").innerText])),
    facts: [...document.querySelectorAll(".facts")].map((list) => Object.fromEntries([...list.querySelectorAll("dt")]
      .map((each) => [each.innerText, each.nextElementSibling.innerText.trim()]))),
    tables: Object.fromEntries([...document.querySelectorAll("table:has(caption)")]
      .map((table) => [table.caption.innerText, rows(table)])),
    cards: [...document.querySelectorAll(".card")].map((card) => ({
      name: card.querySelector("h3").innerText, rows: rows(card.querySelector("table")),
      read: columns(card.querySelector("svg"), "read"), write: columns(card.querySelector("svg"), "write"),
      ticks: [...card.querySelectorAll(".tick")].map((tick) => tick.textContent),
    })),
    sections: Object.fromEntries([...document.querySelectorAll("section")]
      .map((section) => [section.id, section.innerText])),
    clipped: [...document.querySelectorAll("main *")].filter((each) => !each.closest("svg")
      && each.getBoundingClientRect().right > innerWidth + 1).length,
  }
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags })
const seen = {}
for (const path of process.argv.slice(2)) {
  const url = pathToFileURL(resolve(path)).href
  const page = await browser.newPage()
  let requests = [], messages = []
  page.on("request", (request) => { if (request.url() !== url) requests.push(request.url()) })
  page.on("console", (message) => messages.push(message.text()))
  page.on("pageerror", (error) => messages.push(String(error)))
  page.on("dialog", (dialog) => { messages.push(`dialog ${dialog.message()}`); dialog.dismiss() })
  seen[path] = {}
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1200, 360]) {
      requests = []
      messages = []
      await page.setViewportSize({ width, height: 900 })
      await page.emulateMedia({ colorScheme })
      await page.goto(url)
      seen[path][`${colorScheme} ${width}`] = { ...await page.evaluate(measure), requests, messages }
    }
  }
  await page.emulateMedia({ colorScheme: "dark", media: "print" })
  seen[path].paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  await page.close()
}
await browser.close()
console.log(JSON.stringify(seen))
