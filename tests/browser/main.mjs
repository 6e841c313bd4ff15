// Starts Chromium and walks through the page at both widths, in both schemes, without a script, and
// without a KEK. The environment says what to look at. Faults are printed, and the exit status says
// whether there were any.

import { launch, Window } from "./check.mjs";
import { apiKeys, audit, rest, secrets, signIn, withoutKek } from "./flow.mjs";

const given = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run this by the suite \`browser\``);
  return value;
};

const VALUE = "canary-7f3d1c9ab2e84655";
const origin = given("PAGE_ORIGIN");
const token = given("PAGE_ADMIN_TOKEN");
const pictures = given("PAGE_PICTURES");

const browser = await launch(given("PAGE_CHROMIUM"));
const faults = [];

const sizes = [
  { width: 1280, height: 900 },
  { width: 360, height: 740 },
];
for (const scheme of ["light", "dark"]) {
  for (const size of sizes) {
    await visit({ name: `${size.width}-${scheme}`, origin, scheme, ...size }, async (window) => {
      await signIn(window, token);
      await secrets(window, `Shop ${window.name} <b>&amp;`, VALUE);
      await apiKeys(window);
      await audit(window);
      await rest(window);
      await window.neverAnswered(VALUE, "a secret's value");
      await window.neverAnswered(token, "the admin token");
    });
  }
}

await visit({ name: "1280-no-script", origin, scheme: "light", script: false, ...sizes[0] }, async (window) => {
  await signIn(window, token);
  await secrets(window, "Shop without a script", VALUE);
  await window.press("link", "API keys");
  await window.type("Name", "search service");
  await window.press("button", "Create the key");
  window.expect(await window.page.locator("output").isVisible(), "no API key is shown");
  window.expect(!(await window.page.getByRole("button", { name: "Copy the key" }).isVisible()), "a button does nothing");
});

const unset = { origin: given("PAGE_ORIGIN_WITHOUT_KEK"), scheme: "light", ...sizes[0] };
await visit({ name: "1280-unset", ...unset }, (window) => withoutKek(window, given("PAGE_ADMIN_TOKEN_WITHOUT_KEK")));

await browser.close();
for (const fault of faults) console.log(`FAULT ${fault}`);
process.exit(faults.length > 0 ? 1 : 0);

async function visit(options, walk) {
  const window = await Window.open(browser, { pictures, ...options });
  window.page.setDefaultTimeout(15_000);
  try {
    await walk(window);
  } catch (error) {
    window.fault(`the walk ended: ${error.stack}`);
    await window.page.screenshot({ path: `${pictures}/broken-off-${window.name}.png`, fullPage: true }).catch(() => {});
  }
  faults.push(...window.faults);
  console.log(`${window.name}: ${window.pages} pages, ${window.faults.length} faults`);
  await window.context.close();
}
