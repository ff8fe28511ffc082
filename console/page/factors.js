// The overview: a person's factors and recovery codes, and what can be done with them.

import { open } from "./dialog.js";
import { button, el } from "./dom.js";
import { cancel, field, form } from "./form.js";
import { obstacle } from "./passkey.js";
import { show } from "./screen.js";
import { moment, typeName } from "./words.js";

const api = "/twofactor/v1";

// overview shows what there is and resolves with what the person chose to do: a function that does it. notice is shown first.
export const overview = async (session, actions, notice) => {
  const [{ items }, recovery] = await Promise.all([session.call("GET", `${api}/factors?limit=100`), session.call("GET", `${api}/recovery-codes`)]);
  const factors = items.filter(({ status }) => status === "active" || status === "locked");
  return new Promise((resolve) => {
    show("Your second factors", notice && el("p", { class: "notice" }, notice), list(session, factors, resolve), add(session, actions, factors.map(nameOf), resolve), factors.length > 0 && codesPart(recovery, actions, resolve));
  });
};

const nameOf = ({ label, maskedTarget, type }) => label ?? maskedTarget ?? typeName(type);

// list shows the factors.
const list = (session, factors, resolve) => {
  if (factors.length === 0) return el("p", {}, "You have none yet. A password alone can be guessed or stolen: add a passkey or an authenticator app.");
  return el("ul", { class: "factors" }, ...factors.map((factor) => {
    const name = nameOf(factor);
    const used = factor.lastUsedAt ? `last used ${moment(factor.lastUsedAt)}` : `added ${moment(factor.confirmedAt ?? factor.createdAt)}, not used yet`;
    return el("li", {}, el("div", { class: "what" }, el("strong", {}, name), el("span", { class: "hint" }, `${typeName(factor.type)}, ${used}${factor.status === "locked" ? ", locked for a while" : ""}`)),
      el("div", { class: "deeds" },
        button("Rename", () => rename(session, factor, name, resolve), { "aria-label": `Rename ${name}`, class: "quiet" }),
        button("Remove", () => remove(session, factor, name, factors.length === 1, resolve), { "aria-label": `Remove ${name}`, class: "quiet" })));
  }));
};

// add offers the types that may be added: in a pending sign-in only those that complete it.
const add = (session, actions, names, resolve) => {
  const why = session.accepts("passkey") ? obstacle() : "";
  return el("section", { "aria-label": "Add" }, el("div", { class: "actions" },
    session.accepts("passkey") && !why && button("Add a passkey", () => resolve(() => actions.passkey(names))),
    session.accepts("totp") && button("Add an authenticator app", () => resolve(() => actions.authenticator(names)))), why && el("p", { class: "hint" }, why));
};

const codesPart = ({ remaining, few }, actions, resolve) => el("section", {}, el("h2", {}, "Recovery codes"),
  el("p", {}, remaining === 0 ? "You have none. Without recovery codes, only an administrator can help if you lose all devices." : `${remaining} are left.${few ? " Create new ones before you run out." : ""}`),
  el("div", { class: "actions" }, button(remaining === 0 ? "Create recovery codes" : "Create new codes", async () => {
    if (remaining === 0 || await replace(remaining)) resolve(actions.codes);
  })));

// replace asks for confirmation that the remaining codes stop working.
const replace = (remaining) => open("Create new codes?", (close) => [
  el("p", {}, `The ${remaining === 1 ? "current code" : `${remaining} current codes`} will stop working.`),
  el("div", { class: "actions" }, button("Create codes", () => close(true), { class: "primary" }), cancel(() => close())),
]);

// rename asks for a new name.
const rename = async (session, factor, name, resolve) => {
  const done = await open(`Rename ${name}`, (close) => [form({
    fields: [field({ name: "label", label: "Name", value: name, maxlength: "64", autocomplete: "off", autocapitalize: "sentences", clean: (text) => text.trim() })],
    label: "Rename", others: [cancel(() => close())],
    act: async (given) => {
      await session.call("PATCH", `${api}/factors/${factor.id}`, { body: given });
      close(`Renamed to ${given.label}.`);
    },
  })]);
  if (done) resolve(() => done);
};

// remove asks for confirmation.
const remove = async (session, factor, name, last, resolve) => {
  const done = await open(`Remove ${name}?`, (close) => [
    el("p", {}, last ? "It is your only second factor. Without it only your password protects your account, and your recovery codes stop working. Administrators need an invitation to add one again: add another one first." : "You can no longer sign in with it."),
    form({
      label: "Remove", others: [cancel(() => close())],
      act: async () => {
        await session.call("DELETE", `${api}/factors/${factor.id}`);
        close(`${name} removed.`);
      },
    }),
  ]);
  if (done) resolve(() => done);
};
