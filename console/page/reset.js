// The page where a person chooses a new password with a reset token. The token is in the fragment of the link, which browsers do not send.

import { call } from "./api.js";
import { button, el } from "./dom.js";
import { forgotten } from "./forgotten.js";
import { field, form } from "./form.js";
import { Problem } from "./problem.js";
import { show } from "./screen.js";

// taken returns the token of the link, or "", and removes it from the address, so that it is neither in the history nor copied with the address.
const taken = () => {
  const given = location.hash.slice(1);
  if (location.hash) history.replaceState(null, "", location.pathname);
  return tokens.test(given) ? given : "";
};

const tokens = /^[A-Za-z0-9_-]{20,128}$/;

const long = (text) => (Array.from(text).length < 12 ? "Choose a longer one: at least 12 characters." : "");

// choose asks for the password, and for the token if the link had none.
const choose = (token) => show("Choose a new password", el("p", {}, "You are signed out everywhere when it is changed."), form({
  fields: [
    field({
      name: "token", label: "Reset token", hidden: token !== "", autocomplete: "off", maxlength: "200", hint: "You were given it. It works once.",
      clean: (text) => text.trim(), check: (text) => (tokens.test(text) ? "" : "This is not a reset token. Copy all of it, and nothing else."),
    }),
    field({
      name: "newPassword", label: "New password", type: "password", autocomplete: "new-password", maxlength: "1024", check: long,
      hint: "At least 12 characters. Three or four words that don't belong together are good.",
    }),
    field({ name: "repeated", label: "New password again", type: "password", autocomplete: "new-password", maxlength: "1024" }),
  ],
  label: "Change password", others: [button("Send me a new link", () => forgotten(() => choose(token)), { class: "quiet" })],
  act: async ({ newPassword, repeated, ...typed }) => {
    if (newPassword !== repeated) throw new Problem({ code: "passwords_differ", errors: [{ pointer: "/repeated" }] });
    await call("POST", "/kms/v1/auth/password-reset", { body: { token: token || typed.token, newPassword } });
    done();
  },
}));

const done = () => show("Your password is changed", el("p", {}, "You are signed out everywhere. Sign in with the new password; your second factors are unchanged."),
  el("div", { class: "actions" }, el("a", { href: "/console" }, "Sign in")));

// If the link is opened in a tab that already shows the page, only the fragment changes.
addEventListener("hashchange", () => location.hash && choose(taken()));
choose(taken());
