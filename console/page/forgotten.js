// Asks for a link to choose a new password. What is told is the same whether there is such an account or not.

import { call } from "./api.js";
import { button, el } from "./dom.js";
import { cancel, field, form } from "./form.js";
import { show } from "./screen.js";

// forgotten asks whose password it is; leave goes back to where it was asked from, with what to tell there.
export const forgotten = (leave) => show("Forgotten password", el("p", {}, "A link to choose a new one is sent to the mail address of your account."), form({
  fields: [field({ name: "login", label: "User name or mail address", autocomplete: "username", maxlength: "254", clean: (text) => text.trim() })],
  label: "Send the link", others: [cancel(() => leave(), "Back")],
  act: async (given) => {
    await call("POST", "/kms/v1/auth/password-reset/request", { body: given });
    sent(leave);
  },
}));

const sent = (leave) => show("Look into your mailbox",
  el("p", {}, "If there is such an account and it has a mail address, a link is on its way. It works once, for 30 minutes, and older ones work no more."),
  el("p", { class: "hint" }, "Nothing comes? Look among unwanted mails, and ask again after some minutes: at most three an hour are sent. Otherwise ask an administrator."),
  el("div", { class: "actions" }, button("Back", () => leave(), { class: "primary" })));
