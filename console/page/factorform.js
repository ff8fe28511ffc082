// Asks for a second factor, by whichever way the person has and chooses.

import { button, el } from "./dom.js";
import { field, form, pressed } from "./form.js";
import { Problem } from "./problem.js";
import { byCode, byPasskey, byRecoveryCode, bySentCode, send, sendAgain } from "./proof.js";
import { say } from "./screen.js";

// codeField takes what an authenticator shows; apps show it with a gap, which is no part of it.
export const codeField = (label = "Code of your authenticator app") => field({
  name: "code", label, inputmode: "numeric", autocomplete: "one-time-code", maxlength: "11", class: "code",
  clean: (text) => text.replace(/[\s-]/g, ""),
  check: (code) => (/^[0-9]{6}([0-9]{2})?$/.test(code) ? "" : "The code is the 6 or 8 digits that your app shows now."),
});

const recoveryField = () => field({
  name: "code", label: "Recovery code", autocomplete: "off", maxlength: "64", class: "code",
  hint: "One of the codes that you saved when you added your first factor. Each works once.",
  clean: (text) => text.replace(/\s/g, ""),
  check: (code) => (code.replaceAll("-", "").length === 24 ? "" : "A recovery code has six groups of four letters and digits."),
});

const sentField = () => field({
  name: "code", label: "Code that was sent to you", inputmode: "numeric", autocomplete: "one-time-code", maxlength: "11", class: "code",
  clean: (text) => text.replace(/[\s-]/g, ""),
  check: (code) => (/^[0-9]{6}$/.test(code) ? "" : "The code is the 6 digits of the message."),
});

// sent asks for a code by a channel: first whether to send one, then for the code, with a way to have another sent.
const sent = (channel, label) => (session, use, others) => {
  const place = el("div", {});
  const typed = (first) => {
    let challenge = first;
    const to = el("p", {}, `A code was sent to ${first.maskedTarget}. It is valid for about a minute after it arrives.`);
    const again = pressed("Send another code", async () => {
      challenge = { ...await sendAgain(session, challenge), channel };
      say("Another code was sent.");
    }, { class: "quiet" });
    place.replaceChildren(to, form({ fields: [sentField()], label: "Confirm", others: [again.made, ...others], act: async ({ code }) => use(await bySentCode(session, challenge, code), channel) }), again.error);
    focusFirst(place);
  };
  place.append(form({ label, others, act: async () => typed({ ...await send(session, channel), channel }) }));
  return place;
};

// ask are the forms by way: each gets a proof and gives it to use.
const ask = {
  passkey: (session, use, others) => form({ label: "Use your passkey", others, act: async () => use(await byPasskey(session), "passkey") }),
  code: (session, use, others) => form({
    fields: [codeField()], label: "Confirm", others, act: async ({ code }) => use(await byCode(session, code), "code"),
  }),
  sms: sent("sms", "Send a code by text message"),
  email: sent("email", "Send a code by email"),
  recovery: (session, use, others) => form({
    fields: [recoveryField()], label: "Use this recovery code", others, act: async ({ code }) => use(await byRecoveryCode(session, code).catch((problem) => {
      throw problem.code === "invalid_code" ? new Problem({ code: "invalid_recovery_code" }) : problem;
    }), "recovery"),
  }),
};

const labels = { passkey: "Use a passkey instead", code: "Use your authenticator app instead", sms: "Get a code by text message instead", email: "Get a code by email instead", recovery: "I lost my device: use a recovery code" };

// factorForm returns an element that asks until use(proof, way) has succeeded. leave, where there is one, is the button by which a person leaves it.
export const factorForm = (session, ways, use, leave) => {
  const place = el("div", { class: "factor" });
  const possible = ["passkey", "code", "sms", "email", "recovery"].filter((way) => ways[way]);
  const turn = (way) => {
    const others = possible.filter((other) => other !== way).map((other) => button(labels[other], () => { turn(other); focusFirst(place); }, { class: "quiet" }));
    place.replaceChildren(ask[way](session, use, [leave, ...others].filter(Boolean)));
  };
  if (possible.length > 0) {
    turn(possible[0]);
  } else if (!ways.any) {
    place.append(el("p", {}, "You have no second factor yet. Add one first; administrators need an invitation for it."),
      el("div", { class: "actions" }, el("a", { href: "/twofactor/v1/enroll" }, "Add a second factor"), leave));
  } else {
    place.append(el("p", {}, "None of your second factors can be used in this browser. Use another device, or ask an administrator to reset them."), el("div", { class: "actions" }, leave));
  }
  return place;
};

const focusFirst = (place) => place.querySelector("input, button")?.focus();
