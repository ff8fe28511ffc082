// Asks for a link to choose a new password. The answer is the same whether the account exists or not.

import { call } from "./api.js";
import { button, el } from "./dom.js";
import { cancel, field, form } from "./form.js";
import { show } from "./screen.js";

// forgotten asks for the user name or mail address; leave goes back to the previous step, with a message.
export const forgotten = (leave) => show("Forgotten password", el("p", {}, "A link to choose a new one is sent to the mail address of your account."), form({
  fields: [field({ name: "login", label: "User name or mail address", autocomplete: "username", maxlength: "254", clean: (text) => text.trim() })],
  label: "Send the link", others: [cancel(() => leave(), "Back")],
  act: async (given) => {
    await call("POST", "/kms/v1/auth/password-reset/request", { body: given });
    sent(leave);
  },
}));

const sent = (leave) => show("Check your mailbox",
  el("p", {}, "If the account exists and has a mail address, a link is on its way. It works once, for 30 minutes. Older links no longer work."),
  el("p", { class: "hint" }, "No mail? Check your spam folder, and try again after a few minutes: at most three mails an hour are sent. Otherwise ask an administrator."),
  el("div", { class: "actions" }, button("Back", () => leave(), { class: "primary" })));
