// The messages for people. Each failure gets a sentence on what happened, and one on what to do now.

import { Problem } from "./problem.js";

// advice says what to do, by the problem's code. The sentence before it is the API's.
const advice = {
  invalid_credentials: "Check your user name and password, and try again.",
  invalid_code: "A code works once: wait for the next one and enter that.",
  passkeys_off: "Use an authenticator app.",
  invalid_proof: "Try again with a new code.",
  proof_used: "Try again with a new code.",
  invalid_invitation: "Check that all of it was copied. An invitation works once; an administrator can make you a new one.",
  invitation_required: "Enter the invitation that you were given. The first administrator got it from fountain bootstrap.",
  factor_not_accepted: "Use another of your second factors.",
  limit_reached: "Remove one that you no longer use, and try again.",
  gone: "Begin again.",
  not_found: "It may have been removed in another window. Reload the page.",
  forbidden: "Ask an administrator for access.",
  state_conflict: "Reload the page to see the current state.",
  not_ready: "It is starting: try again in a moment.",
  unavailable: "Try again in a moment.",
  overloaded: "Try again in a moment.",
  upstream_unavailable: "Try again in a moment.",
  upstream_timeout: "Try again in a moment.",
};

// sentences replace what the API says, where it has no sentence or none for this person.
const sentences = {
  unreachable: "The server can't be reached. Check your connection and that the server is running, then try again.",
  no_answer: "The server did not answer in time. Try again.",
  broken_answer: "The answer did not come from the server. Reload the page and try again.",
  cancelled: "Cancelled. You can try again.",
  invalid_credentials: "The user name or password is incorrect. Check both and try again; after several failed attempts, wait a few minutes.",
  invalid_code: "This code is not accepted. A code works once: wait for the next one and enter that. If it fails again, the clock of your device may be wrong.",
  invalid_recovery_code: "This recovery code is not accepted. Each code works once, and codes of an older set no longer work: try another one of the newest set.",
  invalid_sent_code: "This code is not accepted. Enter the newest code that was sent to you.",
  sent_code_over: "This code has expired. Send another code and enter that.",
  sent_code_exhausted: "Too many wrong codes were entered. Send another code, or use another second factor.",
  invalid_passkey: "This passkey is not accepted. It may have been removed from your account. Sign in another way.",
  insufficient_user_authentication: "This requires a recent sign-in. Sign in again, then retry.",
  mail_off: "This server does not send mails. Ask an administrator for a link to choose a new password.",
  invalid_reset_token: "This reset token is not accepted. It works once, for a limited time, and not after a newer one was created. Ask for a new one.",
  session_ended: "Your session has ended. Sign in again.",
  invalid_token: "Your session has ended. Sign in again.",
  authentication_required: "Your session has ended. Sign in again.",
  passkey_cancelled: "No passkey was used: you cancelled, it took too long, or this device has none for this site. Try again, or use another way.",
  passkey_known: "This device already has a passkey for your account. Use another device, or keep the existing one.",
  passkey_refused: "You can't sign in with this passkey at the moment. Sign in another way, or ask an administrator whether your account is active.",
  passkey_place: "A passkey can't be used at this address. Open the page by the name of its server, over HTTPS.",
  passkey_unsupported: "This device can't create a passkey of the required kind. Use another device, or an authenticator app.",
  passkey_failed: "The browser could not use a passkey. Try again, or use another way.",
  codes_not_kept: "Save the codes first and confirm it: they are not shown again.",
  passwords_differ: "The new passwords do not match.",
  not_json: "This is not valid JSON.",
  one_place: "Fill in one of the two: before or after which element.",
  not_whole: "The answer ended too early. It is incomplete, and nothing was saved. Try again.",
  too_large_here: "This is too large for a page. Export it in parts, or use the command line.",
  copy_failed: "The browser did not allow copying. Select the text and copy it.",
};

// wait says how long to wait, in whole units.
const wait = (seconds) => {
  if (seconds < 90) return `Wait ${Math.max(seconds, 1)} seconds, then try again.`;
  return `Wait ${Math.ceil(seconds / 60)} minutes, then try again.`;
};

// sentence returns what went wrong and what to do. Anything other than a Problem is a fault of the page, and is reported to the browser (reportError).
export const sentence = (problem) => {
  if (!(problem instanceof Problem)) {
    reportError(problem);
    return "This page failed. Reload it and try again.";
  }
  const { code, detail, errors, retryAfter, requestId } = problem;
  if (sentences[code]) return sentences[code];
  if (code === "rate_limited" || code === "too_many_attempts") {
    return `${code === "rate_limited" ? "Too many requests in a short time." : "Too many wrong codes were entered."} ${wait(retryAfter)}`;
  }
  if (code === "code_on_its_way") return `A code is on its way. ${wait(retryAfter)}`;
  if (code === "weak_password") return [detail, ...errors.map(({ message }) => `It ${message}.`), "Choose another one."].join(" ");
  if (advice[code]) return `${detail || "The request failed."} ${advice[code]}`;
  if ([403, 404, 409, 412, 422].includes(problem.status) && detail) return detail; // the same request is refused again
  const what = problem.status < 500 && detail ? detail : "The server failed to process the request.";
  return `${what} Try again. If it fails again, give your administrator this request ID: ${requestId || code}.`;
};

const typeNames = { totp: "Authenticator app", passkey: "Passkey", email: "Email", sms: "Text message", webhook: "Webhook" };

// typeName is what a kind of factor is called.
export const typeName = (type) => typeNames[type] ?? type;

// moment writes a time so that it reads the same everywhere: the month as a word, 24 hours, in the person's own zone.
export const moment = (text) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));

// hour writes a time of today.
export const hour = (text) => new Intl.DateTimeFormat("en-GB", { timeStyle: "short" }).format(new Date(text));

const meanings = {
  openid: "your user ID",
  profile: "your user name",
  offline_access: "acting for you until your session ends, even when you are not using it",
};

// meaning says what a person allows a web app with a scope.
export const meaning = (scope) => meanings[scope] ?? `operations with the scope ${scope}, on your behalf`;
