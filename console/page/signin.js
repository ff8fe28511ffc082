// Sign-in, for every page: by user name and password with a second factor where one is asked for, or by a passkey alone. A page asks Session.resume
// (session.js) first, then calls signIn; it gets a Session, through which it calls the API.

import { call } from "./api.js";
import { button, el } from "./dom.js";
import { factorForm } from "./factorform.js";
import { forgotten } from "./forgotten.js";
import { cancel, field, form, pressed } from "./form.js";
import { get, obstacle } from "./passkey.js";
import { Problem } from "./problem.js";
import { ways } from "./proof.js";
import { show } from "./screen.js";
import { Session, refreshIn } from "./session.js";

// byPassword returns the session of a user name and password. It is pending when a second factor is asked for too.
const byPassword = async (username, password) => new Session(await call("POST", "/kms/v1/auth/login", { body: { username, password, refreshIn }, withCookie: true }));

// byPasskey returns the session of a passkey, which identifies its user.
const byPasskey = async () => {
  const { signInId, options } = await call("POST", "/twofactor/v1/passkey-sign-ins");
  const credential = await get(options);
  const { proof } = await call("POST", `/twofactor/v1/passkey-sign-ins/${signInId}/verify`, { body: { credential } });
  try {
    return new Session(await call("POST", "/kms/v1/auth/login/passkey", { body: { proof, refreshIn }, withCookie: true }));
  } catch (problem) {
    throw problem.code === "invalid_credentials" ? new Problem({ code: "passkey_refused" }) : problem;
  }
};

// signIn asks until somebody has signed in, and resolves with the session and the way of the second factor. A session that is still pending is that of
// a person who must have a second factor and has none yet: they enrol one, and confirmSignIn ends it. notice says why a sign-in is required.
export const signIn = ({ notice, username = "" } = {}) => new Promise((resolve) => {
  const start = (message, name) => {
    const password = form({
      fields: [
        field({ name: "username", label: "User name", autocomplete: "username", maxlength: "256", value: name }),
        field({ name: "password", label: "Password", type: "password", autocomplete: "current-password", maxlength: "1024" }),
      ],
      label: "Sign in",
      others: [button("Forgotten password?", () => forgotten((message) => start(message, name)), { class: "quiet" })],
      act: async (given) => {
        const session = await byPassword(given.username, given.password);
        if (!session.pending) return resolve({ session });
        const possible = await ways(session);
        if (!possible.any) return resolve({ session });
        const way = await confirmSignIn(session, possible, () => start("", given.username));
        resolve({ session, way });
      },
    });
    show("Sign in", message && el("p", { class: "notice" }, message), password, ...passkeyPart(resolve));
  };
  start(notice, username);
});

// passkeyPart is the sign-in by passkey, or why it can't be used.
const passkeyPart = (resolve) => {
  const why = obstacle();
  if (why) return [el("p", { class: "hint" }, why)];
  const { made, error } = pressed("Sign in with a passkey", async () => resolve({ session: await byPasskey(), way: "passkey" }));
  return [el("div", { class: "other" }, el("p", { class: "or" }, "or"), made, error)];
};

// confirmSignIn asks for the second factor of a pending session, and resolves with the way when the session is complete.
export const confirmSignIn = (session, possible, leave, hint = "Your account requires a second factor at sign-in.") => new Promise((resolve) => {
  const use = async (proof, way) => {
    await session.complete(proof);
    resolve(way);
  };
  show("Confirm that it is you", el("p", {}, hint), factorForm(session, possible, use, cancel(leave, "Back")));
});

// unconfirmed is the message if the server could not be reached at a sign-out: the browser keeps the cookie, which no page can delete.
const unconfirmed = refreshIn === "cookie"
  ? "The server can't be reached: this browser is still signed in. Reload the page and sign out again, or close the browser."
  : "You are signed out on this page. The server could not be reached; the session ends there when it expires.";

// signOutButton ends a session and passes done the message.
export const signOutButton = (session, done) => button("Sign out", async () => {
  try {
    await session.signOut();
    done("You are signed out.");
  } catch {
    done(unconfirmed);
  }
}, { class: "quiet" });
