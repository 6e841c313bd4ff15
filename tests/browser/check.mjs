// Checks of every page: it is accessible, it fits the screen, it loads nothing from elsewhere, and
// the browser reports no error. A screenshot is kept.
//
// `flow.mjs` knows what a page should say.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SEVERE = ["serious", "critical"];

/** One browser window in which pages are checked. */
export class Window {
  static async open(browser, { name, origin, width, height, scheme, script = true, pictures }) {
    const context = await browser.newContext({
      baseURL: origin,
      viewport: { width, height },
      colorScheme: scheme,
      reducedMotion: "reduce",
      javaScriptEnabled: script,
      permissions: ["clipboard-read", "clipboard-write"],
    });
    const page = await context.newPage();
    return new Window({ name, origin, context, page, script, pictures });
  }

  constructor(fields) {
    Object.assign(this, fields);
    this.faults = [];
    this.answers = [];
    this.expected = [];
    this.pages = 0;
    this.context.on("request", (request) => {
      const url = new URL(request.url());
      if (url.origin !== this.origin) this.fault(`a request to ${request.url()}`);
    });
    this.context.on("response", (response) => this.answers.push(response));
    this.page.on("pageerror", (error) => this.fault(`the script failed: ${error}`));
    this.page.on("console", (message) => {
      // The browser reports every page with such a status as not loaded.
      const isStatus = this.expected.some((status) => message.text().includes(`a status of ${status}`));
      if (["error", "warning"].includes(message.type()) && !isStatus) {
        this.fault(`the console says: ${message.text()}`);
      }
    });
  }

  /** Collects a fault. All faults are reported at the end, so that one run finds all of them. */
  fault(what) {
    this.faults.push(`${this.name}: ${new URL(this.page.url(), this.origin).pathname}: ${what}`);
  }

  expect(condition, what) {
    if (!condition) this.fault(what);
  }

  /** From here on, an answer with this status is no fault. */
  mayAnswer(status) {
    this.expected.push(status);
  }

  /** Checks the open page, and keeps a screenshot under this name. */
  async check(name) {
    const { page } = this;
    await page.waitForLoadState("load");
    this.pages += 1;
    const picture = join(this.pictures, `${name}-${this.name}.png`);
    await page.screenshot({ path: picture, fullPage: true, animations: "disabled" });
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    this.expect(wider <= 0, `it is ${wider} pixels wider than the screen`);
    if (!this.script) return;
    await page.evaluate(AXE);
    const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document));
    this.expect(passes.length > 10, "the accessibility check did not look at much");
    for (const { id, impact, help, nodes } of violations) {
      const where = nodes.map(({ target }) => target.join(" ")).join(", ");
      const told = `${impact}: ${id}: ${help}: ${where}`;
      if (SEVERE.includes(impact)) this.fault(told);
      else console.log(`minor: ${this.name}: ${new URL(page.url()).pathname}: ${told}`);
    }
  }

  /** Presses the Tab key until the element has the focus. */
  async reach(locator) {
    await locator.waitFor({ state: "visible" });
    const isThere = () => locator.evaluate((element) => element === document.activeElement);
    for (let presses = 0; presses < 150; presses += 1) {
      if (await isThere()) {
        await this.isVisiblyFocused(locator);
        return;
      }
      await this.page.keyboard.press("Tab");
    }
    throw new Error(`${this.name}: the Tab key does not lead to ${locator}`);
  }

  /** Checks that the focus is visible to people who use the keyboard. */
  async isVisiblyFocused(locator) {
    const isOutlined = await locator.evaluate((element) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    });
    this.expect(isOutlined, `${locator} shows no focus`);
  }

  async type(label, text) {
    const field = this.page.getByLabel(label, { exact: true });
    await this.reach(field);
    await this.page.keyboard.press("ControlOrMeta+A");
    await this.page.keyboard.insertText(text);
  }

  /** Presses a button or follows a link by keyboard, and waits for the next page. */
  async press(role, name) {
    const control = this.page.getByRole(role, { name, exact: true });
    await this.reach(control);
    await Promise.all([
      this.page.waitForEvent("load"),
      this.page.keyboard.press("Enter"),
    ]);
  }

  async says(text) {
    const found = this.page.getByText(text).first();
    await found.waitFor({ state: "visible", timeout: 5000 }).catch(() => this.fault(`it does not say “${text}”`));
  }

  /** Checks that no answer so far contains this text. */
  async neverAnswered(text, what) {
    for (const response of this.answers) {
      const held = `${response.url()} ${JSON.stringify(await response.allHeaders())}`;
      const body = response.status() >= 300 && response.status() < 400 ? "" : await response.text().catch(() => "");
      this.expect(!held.includes(text) && !body.includes(text), `${response.url()} holds ${what}`);
    }
  }
}

/** Starts Debian's Chromium. Its sandbox does not work for root. */
export function launch(executablePath) {
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args });
}
