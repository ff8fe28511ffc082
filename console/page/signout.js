// The page where a web app signs a person out. It ends the session that the app's ID token was given in, and continues at an address that is registered for the app.

import { call } from "./api.js";
import { button, el } from "./dom.js";
import { ask, leave } from "./request.js";
import { show } from "./screen.js";
import { sentence } from "./words.js";

const body = ask(["id_token_hint", "client_id", "post_logout_redirect_uri", "state"]);

const end = async () => {
  if (!body.id_token_hint) return show("Sign out", el("p", {}, "The app that sent you here did not say which session to end. Sign out there, or where you signed in."));
  try {
    const { redirect } = await call("POST", "/kms/v1/oauth2/logout", { body });
    if (redirect) return leave(redirect);
    show("You are signed out", el("p", {}, "You can close this page."));
  } catch (problem) {
    const actions = problem.status === 422 ? [] : [el("div", { class: "actions" }, button("Try again", end, { class: "primary" }))];
    show("Sign-out failed", el("p", { role: "alert" }, problem.status === 422 ? problem.detail : sentence(problem)), ...actions);
  }
};

end();
