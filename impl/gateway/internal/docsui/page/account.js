// The sign-in of the documentation page: the one of every page (signin.js), in a box at the top. Its session is that of the browser, so it is kept when the page is
// loaded again for another contract.

import { button, el } from "/docs/dom.js";
import { say } from "/docs/screen.js";
import { Session } from "/docs/session.js";
import { signIn, signOutButton } from "/docs/signin.js";
import { stepUp } from "/docs/stepup.js";
import { sentence } from "/docs/words.js";

const place = document.querySelector("#account");
const box = document.querySelector("#screen");

let session; // of who is signed in
let changed = () => {};

// current returns the session of who is signed in, or undefined.
export const current = () => session;

// open finds the session that the browser has, and tells onChange now and whenever it begins or ends.
export const open = async (onChange) => {
  changed = onChange;
  try {
    use(await Session.resume());
  } catch (problem) {
    use();
    say(sentence(problem));
  }
};

// ask shows the box until somebody has signed in or closes it; notice says why.
const ask = async (notice) => {
  const { title } = document;
  box.hidden = false;
  place.replaceChildren(button("Close", () => { document.title = title; use(); }));
  const asked = signIn({ notice });
  document.title = title;
  const { session: found } = await asked;
  document.title = title;
  if (found.pending) return enrol();
  use(found);
  say("Signed in. Operations that require a second factor will ask for it.");
};

// enrol leads who must have a second factor, and has none yet, to where they get one.
const enrol = () => {
  box.replaceChildren(el("p", {}, "Your account requires a second factor. ", el("a", { href: "/twofactor/v1/enroll" }, "Sign in there to add one"), ", then return here."));
};

// use shows whose session it is from now on, or that there is none.
const use = (found) => {
  session = found;
  box.hidden = true;
  box.replaceChildren();
  if (!session) {
    place.replaceChildren(button("Sign in", () => ask(), { class: "primary" }));
    return changed();
  }
  const name = session.name;
  session.ended = (problem) => {
    if (session !== found) return;
    use();
    ask(sentence(problem));
  };
  session.prove = stepUp(session);
  const signedOut = (notice) => {
    use();
    say(notice);
  };
  place.replaceChildren(el("span", {}, `Signed in as ${name}`), signOutButton(found, signedOut));
  changed();
};
