// What the pages can do better with a script than without. Everything works without it.
"use strict";

// A key that is shown once can be copied with one press, and is gone when the page is left: a browser that keeps the
// page in memory to come back to would show it again.
for (const shown of document.querySelectorAll("[data-once]")) {
  const button = document.querySelector(`[data-copies="${shown.id}"]`);
  if (button && navigator.clipboard) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(shown.textContent);
      button.textContent = "Copied";
    });
  }
  addEventListener("pagehide", () => {
    shown.textContent = "It was shown once. Create another key if you did not keep it.";
    if (button) button.hidden = true;
  });
}

// The same for what was typed into a field and not sent.
addEventListener("pagehide", () => {
  for (const field of document.querySelectorAll("[data-secret]")) field.value = "";
});

// Screen readers tell what changes after a page is there, not what it came with.
for (const status of document.querySelectorAll("[role=status]")) {
  const nodes = [...status.childNodes];
  if (status.textContent.trim() === "") continue;
  status.replaceChildren();
  setTimeout(() => status.append(...nodes), 100);
}
