// Takes a picture of a page's beginning: node picture.mjs PAGE.html PICTURE.png [HEIGHT]

import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { chromium } from "playwright-core"

const [page_path, picture, height] = process.argv.slice(2)
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"] })
const page = await browser.newPage({ viewport: { width: 1000, height: Number(height ?? 1420) } })
await page.goto(pathToFileURL(resolve(page_path)).href)
await page.screenshot({ path: picture })
await browser.close()
