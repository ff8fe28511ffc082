// Recovery codes: shown once, until the person has saved them.

import { button, el } from "./dom.js";
import { form, pressed } from "./form.js";
import { Problem } from "./problem.js";
import { say, show } from "./screen.js";

// The browser asks before it leaves the page while codes are shown.
addEventListener("beforeunload", (event) => {
  if (document.querySelector("ol.codes")) event.preventDefault();
});

// keepCodes shows the codes and resolves when the person has saved them.
export const keepCodes = (codes) => new Promise((resolve) => {
  const text = codes.join("\n");
  const copy = pressed("Copy all", async () => {
    await navigator.clipboard.writeText(text).catch(() => { throw new Problem({ code: "copy_failed" }); });
    say("Codes copied. Paste them into a password manager, or print them.");
  });
  const kept = el("input", { type: "checkbox", id: "kept" });
  const done = form({
    label: "Continue",
    before: [el("p", { class: "check" }, kept, " ", el("label", { for: "kept" }, "I have saved these codes where I can find them without my device."))],
    act: () => {
      if (!kept.checked) {
        kept.focus();
        throw new Problem({ code: "codes_not_kept" });
      }
      resolve();
    },
  });
  show("Save these recovery codes", el("p", {}, "Each code replaces a second factor once if you lose your device. They are not shown again."),
    el("ol", { class: "codes", "aria-label": "Recovery codes" }, ...codes.map((code) => el("li", {}, el("code", {}, code)))),
    el("div", { class: "actions" }, copy.made, button("Download as text", () => download(text))), copy.error, done);
});

// download gives the codes to the browser as a file.
const download = (text) => {
  const url = URL.createObjectURL(new Blob([`FountainAI recovery codes for ${location.host}\nEach works once.\n\n${text}\n`], { type: "text/plain" }));
  el("a", { href: url, download: "fountain-recovery-codes.txt" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
};

// newCodes creates new codes, which replace the old ones.
export const newCodes = async (session) => keepCodes((await session.call("POST", "/twofactor/v1/recovery-codes")).codes);
