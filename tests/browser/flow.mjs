// An operator's work on the page, by keyboard alone: everything that can be done there, and what
// the page must say.
//
// The checks of every page are in `check.mjs`.

/** Signs in, after one attempt that is refused. */
export async function signIn(window, token) {
  const { page } = window;
  await page.goto("/admin");
  window.expect(new URL(page.url()).pathname === "/admin/sign-in", "it did not ask to sign in");
  await window.check("sign-in");
  window.mayAnswer(403);
  await window.type("Admin token", "not-the-admin-token-of-this-host");
  await window.press("button", "Sign in");
  await window.says("This is not the admin token of this host.");
  const kept = await page.getByLabel("Admin token", { exact: true }).inputValue();
  window.expect(kept === "", "what was typed came back");
  await window.check("sign-in-refused");
  await window.type("Admin token", token);
  await window.press("button", "Sign in");
  await window.check("overview");
}

/** Creates an app with a vault that holds secrets, and designates it. */
export async function secrets(window, app, value) {
  const { page } = window;
  await window.press("link", "Apps and secrets");
  await window.check("apps");
  window.mayAnswer(400);
  await window.type("Name", app);
  await window.type("Slug (optional)", "Not A Slug");
  await window.press("button", "Create the app");
  await window.says("An app slug cannot contain 'N'");
  await window.check("app-mistake");
  const kept = await page.getByLabel("Name", { exact: true }).inputValue();
  window.expect(kept === app, "the name that was typed is gone");
  await window.type("Slug (optional)", "");
  await window.type("Description (optional)", "Searches the web for the people in the shop.");
  await window.press("button", "Create the app");
  await window.says("was created. Create a vault");
  window.expect((await page.getByRole("heading", { level: 1 }).textContent()) === app, "the app has another name");
  await window.check("app");

  await window.type("Name", "main");
  await window.press("button", "Create the vault");
  await window.says("The vault “main” was created.");
  await window.check("vault-empty");

  await window.type("Name", "brave/api/key");
  await window.type("Value", value);
  await window.press("button", "Store the secret");
  await window.says("A secret name cannot contain '/'");
  const forgotten = await page.getByLabel("Value", { exact: true }).inputValue();
  window.expect(forgotten === "", "the value came back");
  await window.check("secret-mistake");
  await window.type("Name", "brave_api_key");
  await window.type("Value", value);
  await window.press("button", "Store the secret");
  await window.says("The secret brave_api_key was stored as version 1.");
  await window.type("Name", "signing_key");
  await window.reach(page.getByText("The value has several lines"));
  await page.keyboard.press("Enter");
  await window.type("Value of several lines", `-----BEGIN KEY-----\n${value}\n-----END KEY-----\n`);
  await window.press("button", "Store the secret");
  await window.says("The secret signing_key was stored as version 1.");
  await window.check("vault");

  await window.press("link", "brave_api_key");
  await window.says("The new value replaces version 1");
  await window.check("secret");
  await window.type("Value", `${value}-2`);
  await window.press("button", "Replace version 1");
  await window.says("it is at version 2 now");

  await window.press("link", "Delete signing_key");
  await window.check("secret-delete");
  await window.press("link", "Keep it");
  window.expect(await page.getByRole("link", { name: "signing_key", exact: true }).isVisible(), "it was deleted");
  await window.press("link", "Delete signing_key");
  await window.press("button", "Delete the secret");
  await window.says("The secret signing_key was deleted.");

  await window.type("A JSON object", '{"origins": {"brave_api_key": ["https://api.search.brave.com"]}}');
  await window.press("button", "Replace the metadata");
  await window.says("The metadata was replaced.");

  await window.press("link", app);
  await window.press("button", "Designate main");
  await window.says("The vault “main” is designated");
  await window.press("button", "Clear the designation of main");
  await window.says("No vault is designated: tools of this app get no secret.");
  await window.press("button", "Designate main");
  await window.check("app-designated");

  await window.type("Name", "scratch");
  await window.press("button", "Create the vault");
  await window.press("link", "Delete the vault…");
  await window.says("0 secrets");
  await window.check("vault-delete");
  await window.press("button", "Delete the vault");
  await window.says("The vault “scratch” was deleted, and 0 secrets with it.");
}

/** Creates an API key, which is shown once, and revokes it. */
export async function apiKeys(window) {
  const { page } = window;
  await window.press("link", "API keys");
  await window.type("Name", "search service");
  await window.press("button", "Create the key");
  const shown = page.locator("output");
  const key = await shown.textContent();
  window.expect(/^tvr_[0-9a-f]{32}_[\w-]{43}$/.test(key), "no API key is shown");
  await page.evaluate(() => {
    const output = document.querySelector("output");
    globalThis.shownKey = output.textContent;
    output.textContent = "tvr_… (not in this picture)";
  });
  await window.check("api-key-created");
  await page.evaluate(() => { document.querySelector("output").textContent = globalThis.shownKey; });
  const copy = page.getByRole("button", { name: "Copy the key" });
  await window.reach(copy);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Copied" }).waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  window.expect(copied === key, "another text was copied");

  await window.press("link", "API keys");
  window.expect(!(await page.content()).includes(key), "the key is shown again");
  await page.goBack();
  window.expect(!(await page.content()).includes(key), "going back shows the key again");
  await page.goto(new URL(page.url()).pathname);
  await window.check("api-keys");
  await window.press("link", "Revoke search service");
  await window.check("api-key-revoke");
  await window.press("button", "Revoke the key");
  await window.says("The API key “search service” is revoked.");
  await window.check("api-keys-revoked");
}

/** Looks at an app's audit and the platform's, filtered and exported. */
export async function audit(window) {
  const { page } = window;
  const tabs = page.getByRole("navigation", { name: "Pages of this app" });
  await window.reach(tabs.getByRole("link", { name: "Audit" }));
  await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
  await page.locator("tbody code", { hasText: "app.vault_designated" }).first().waitFor();
  await window.reach(page.getByLabel("Action", { exact: true }));
  await page.keyboard.type("secret.put");
  await window.press("button", "Filter");
  window.expect(page.url().includes("action=secret.put"), "the filter is not in the address");
  const actions = await page.locator("tbody td[data-column=Action]").allTextContents();
  window.expect(actions.length === 3 && actions.every((it) => it === "secret.put"), `it shows ${actions}`);
  await window.check("audit-of-app");
  for (const [format, start] of [["JSON", "["], ["CSV", "id,"]]) {
    const link = page.getByRole("link", { name: format });
    await window.reach(link);
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    const file = await (await download.createReadStream()).toArray();
    const text = Buffer.concat(file).toString();
    window.expect(text.startsWith(start) && text.split("secret.put").length === 4, `the file in ${format} is another`);
  }
  const pages = page.getByRole("navigation", { name: "Pages", exact: true });
  await window.reach(pages.getByRole("link", { name: "Audit" }));
  await Promise.all([page.waitForEvent("load"), page.keyboard.press("Enter")]);
  await page.locator("tbody code", { hasText: "admin.sign_in_refused" }).first().waitFor();
  await window.reach(page.locator("tbody summary").first());
  await page.keyboard.press("Enter");
  await window.check("audit");
}

/** Looks at the tools, the platform key and the overview, and signs out. */
export async function rest(window) {
  const { page } = window;
  await window.press("link", "Tools");
  const sandbox = page.getByRole("region", { name: "Agent sandbox" });
  const tool = page.getByRole("region", { name: "Tool brave-search" });
  window.expect((await sandbox.textContent()).includes("Does not import tavora:platform/secrets"), "the sandbox could ask");
  window.expect((await tool.textContent()).includes("Imports tavora:platform/secrets"), "the tool could not ask");
  const [left, right] = await Promise.all([sandbox.boundingBox(), tool.boundingBox()]);
  const isWide = page.viewportSize().width >= 1024;
  window.expect(isWide === (left.y === right.y && left.x < right.x), "they are not side by side where there is room");
  await window.check("tools");
  await window.press("link", "Platform key");
  await window.says("Secrets can be stored and used.");
  await window.check("platform-key");
  await window.press("button", "Open every secret");
  await window.says("The verification has begun.");
  // While the walk goes on, the page reloads by itself.
  await page.getByText("Complete.").waitFor();
  await window.check("platform-key-verified");
  await window.press("button", "Move the secrets");
  await window.says("The rewrap has begun.");
  await page.getByText("Complete.").waitFor();
  await window.check("platform-key-rewrapped");
  await window.press("link", "Overview");
  await window.check("overview-later");
  window.mayAnswer(404);
  await page.goto("/admin/nothing");
  await window.check("not-found");
  await page.goto("/admin");
  await window.press("button", "Sign out");
  window.expect(new URL(page.url()).pathname === "/admin/sign-in", "it did not sign out");
  await page.goto("/admin/apps");
  window.expect(new URL(page.url()).pathname === "/admin/sign-in", "the session goes on");
}

/** Without a KEK everything is visible, and the page says why nothing can be stored. */
export async function withoutKek(window, token) {
  const { page } = window;
  await page.goto("/admin");
  await window.type("Admin token", token);
  await window.press("button", "Sign in");
  await window.says("No KEK is configured; set TAVORA_SECRET_KEK and start again.");
  await window.check("overview-without-kek");
  await window.press("link", "Apps and secrets");
  await window.type("Name", "Shop");
  await window.press("button", "Create the app");
  await window.type("Name", "main");
  await window.press("button", "Create the vault");
  window.expect(await page.getByLabel("Value", { exact: true }).isDisabled(), "a value can be typed in");
  await window.check("vault-without-kek");
  await window.press("link", "Platform key");
  await window.check("platform-key-unset");
}
