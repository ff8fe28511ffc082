// The page where a person signs in and manages second factors.

import { addAuthenticator } from "./authenticator.js";
import { closeAll } from "./dialog.js";
import { button, el } from "./dom.js";
import { overview } from "./factors.js";
import { addPasskey } from "./newpasskey.js";
import { ways } from "./proof.js";
import { keepCodes, newCodes } from "./recovery.js";
import { show } from "./screen.js";
import { Session } from "./session.js";
import { confirmSignIn, signIn, signOutButton } from "./signin.js";
import { stepUp } from "./stepup.js";
import { sentence } from "./words.js";

const account = document.getElementById("account");
const lost = "You have used a recovery code. If you have lost a device, add a new one, and remove the lost one.";

// Each sign-in begins a run of the page; a run that was left does nothing more.
let current = 0;

// begin asks for a sign-in, unless there is a session, and goes on with it.
const begin = async (notice, username, resumed) => {
  account.replaceChildren();
  closeAll();
  const run = (current += 1);
  const { session, way } = resumed ? { session: resumed } : await signIn({ notice, username });
  session.ended = (problem) => { if (run === current) begin(sentence(problem), name); };
  const name = session.name;
  showAccount(session);
  let message = "", warning = way === "recovery" ? lost : "";
  session.prove = stepUp(session, (by) => { if (by === "recovery") warning = lost; });
  while (run === current) {
    try {
      if (session.pending) {
        await complete(session);
        showAccount(session);
      }
      const act = await overview(session, actions(session), [message, warning].filter(Boolean).join(" "));
      message = await act();
      if (message) warning = "";
    } catch (problem) {
      message = "";
      if (run !== current) return;
      if (problem.code === "cancelled") message = sentence(problem);
      else await trouble(problem);
    }
  }
};

// showAccount shows whose session it is, and how to end it.
const showAccount = (session) => {
  account.replaceChildren(el("span", {}, `${session.pending ? "Signing in" : "Signed in"} as ${session.name}`), signOutButton(session, begin));
};

// actions are what the overview offers. Each returns the message that is shown after it.
const actions = (session) => ({
  authenticator: async (others) => added(session, await addAuthenticator(session, others)),
  passkey: async (others) => added(session, await addPasskey(session, others)),
  codes: async () => {
    await newCodes(session);
    return "New recovery codes created. The old codes no longer work.";
  },
});

const added = async (session, factor) => {
  if (!factor) return "";
  const done = factor.proof && confirmed(session, factor.proof.proof); // before the codes, since it is valid for a minute
  await Promise.allSettled([done]); // whatever comes of it, the codes are shown
  if (factor.recoveryCodes?.length) await keepCodes(factor.recoveryCodes);
  await done;
  return `${factor.label ?? "Second factor"} added.`;
};

// confirmed confirms the session with a factor that was just added, so that its next code is not required at once. If a role does not accept the factor, the next
// operation requires another one.
const confirmed = (session, proof) => (session.pending ? session.complete(proof) : session.raise("twofactor", proof))
  .catch((problem) => { if (problem.code !== "factor_not_accepted") throw problem; });

// complete lets a person who needs a second factor add their first, and then sign in with it.
const complete = async (session) => {
  const possible = await ways(session);
  if (!possible.any) {
    const act = await overview(session, actions(session), "Your account requires a second factor. Add one now; you are then signed in with it.");
    await act();
    return session.pending ? complete(session) : undefined;
  }
  await confirmSignIn(session, possible, () => begin(), `Sign in with your new second factor.${possible.code ? " A code works only once: wait for the next one." : ""}`);
};

// trouble shows an error that occurred outside a form, until the person continues.
const trouble = (problem) => new Promise((resolve) => {
  show("Something went wrong", el("p", { role: "alert" }, sentence(problem)), el("div", { class: "actions" }, button("Continue", () => resolve(), { class: "primary" })));
});

const open = async () => {
  try {
    begin("", "", await Session.resume());
  } catch (problem) {
    begin(sentence(problem));
  }
};

open();
