// The page where a person signs in at a web app. It only passes the request in its address on: the kms checks it, before the sign-in and after it.

import { call } from "./api.js";
import { button, el } from "./dom.js";
import { pressed } from "./form.js";
import { ask, leave } from "./request.js";
import { show } from "./screen.js";
import { Session } from "./session.js";
import { signIn, signOutButton } from "./signin.js";
import { stepUp } from "./stepup.js";
import { meaning, sentence } from "./words.js";

const account = document.getElementById("account");
const request = ask([
  "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age", "acr_values",
  "id_token_hint", "request", "request_uri",
]);
const { login_hint: username } = ask(["login_hint"]);

// anew says that the app requires a new sign-in, even if the browser has a session: another person may use it now. The kms can't distinguish a sign-in of a
// moment ago at another page from one at this page.
const anew = /(^| )(login|select_account)( |$)/.test(request.prompt ?? "");

// begin asks for a sign-in, and continues until the browser leaves.
const begin = async (notice) => {
  account.replaceChildren();
  if (request.prompt === "none" && await silently()) return;
  const known = await call("POST", "/kms/v1/oauth2/authorize/check", { body: request });
  if (known.redirect) return leave(known.redirect);
  await enter(known.client.name, notice ?? `Sign in to continue to ${known.client.name}.`, notice || anew ? undefined : await Session.resume());
};

// silently lets the app know without a page, by the session that the browser has; false when it has none. The app learns what is missing.
const silently = async () => {
  const session = await Session.resume();
  if (!session) return false;
  const answer = await session.call("POST", "/kms/v1/oauth2/authorize", { body: { request } });
  leave(answer.redirect);
  return true;
};

// enter signs in, unless the browser has a session, and lets the app know. The kms decides whether that session is sufficient.
const enter = async (app, notice, resumed) => {
  const { session } = resumed ? { session: resumed } : await signIn({ notice, username });
  if (session.pending) return needsFactor();
  session.ended = (problem) => attempt(() => begin(sentence(problem)));
  session.prove = stepUp(session);
  account.replaceChildren(el("span", {}, `Signed in as ${session.name}`), signOutButton(session, (notice) => attempt(() => begin(notice))));
  await proceed(session, app);
};

// proceed calls the kms, and asks the person for what is missing.
const proceed = async (session, app, consent) => {
  const answer = await session.call("POST", "/kms/v1/oauth2/authorize", { body: { request, consent } });
  switch (answer.status) {
    case "redirect": return leave(answer.redirect);
    case "sign_in_required": return enter(app, `${app} asks you to sign in again.`);
    case "factor_required": return confirm(session, app);
    default: return agree(session, app, answer.scopes);
  }
};

// agree asks for consent to the access that an app requests.
const agree = (session, app, scopes) => {
  const allow = pressed("Allow", () => proceed(session, app, "granted"), { class: "primary" });
  const deny = pressed("Deny", () => proceed(session, app, "denied"));
  show(`Continue to ${app}?`, el("p", {}, `${app} requests access to:`), el("ul", {}, ...scopes.map((scope) => el("li", {}, meaning(scope)))),
    el("p", { class: "hint" }, `It runs at ${new URL(request.redirect_uri).host}. You are asked only once.`),
    el("div", { class: "actions" }, allow.made, deny.made), allow.error, deny.error);
};

// confirm asks for the second factor that the app requires.
const confirm = (session, app) => {
  const go = pressed("Continue", async () => {
    await session.prove("kms");
    await proceed(session, app);
  }, { class: "primary" });
  const deny = pressed(`Back to ${app}`, () => proceed(session, app, "denied"));
  show("Confirm that it is you", el("p", {}, `${app} asks for one of your second factors.`), el("div", { class: "actions" }, go.made, deny.made), go.error, deny.error);
};

// needsFactor shows a person who needs a second factor where to add one.
const needsFactor = () => show("Your account requires a second factor", el("p", {}, "Add one, then return to the app that sent you here."),
  el("div", { class: "actions" }, el("a", { href: "/twofactor/v1/enroll" }, "Add a second factor")));

// attempt shows errors that occur outside a form.
const attempt = async (act) => {
  try {
    await act();
  } catch (problem) {
    const actions = problem.status === 422 ? [] : [el("div", { class: "actions" }, button("Try again", () => attempt(begin), { class: "primary" }))];
    show("Something went wrong", el("p", { role: "alert" }, problem.status === 422 ? problem.detail : sentence(problem)), ...actions);
  }
};

attempt(begin);
