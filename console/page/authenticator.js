// Adds an authenticator app: a name, then the QR code, then the first code.

import { el } from "./dom.js";
import { codeField } from "./factorform.js";
import { cancel, form, pressed } from "./form.js";
import { invitationField, labelField, withInvitation } from "./label.js";
import { Problem } from "./problem.js";
import { say, show } from "./screen.js";
import { hour } from "./words.js";

const api = "/twofactor/v1/factors/totp";

// addAuthenticator adds an authenticator app; others are the names of existing factors. It resolves with the confirmed factor, which has recovery codes if it is the first, or with undefined if the person cancelled.
export const addAuthenticator = (session, others) => new Promise((resolve) => {
  const invitation = invitationField();
  show("Add an authenticator app", el("p", {}, "An app on your phone shows a new code every 30 seconds. You will scan a QR code with it."), form({
    fields: [labelField("Phone", others), invitation], label: "Continue", others: [cancel(() => resolve())],
    act: (given) => withInvitation(invitation, async () => {
      const made = await session.call("POST", api, { body: given.invitation ? given : { label: given.label } });
      const picture = await session.call("GET", `${api}/${made.factorId}/qr.svg`, { blob: true });
      scan(session, made, picture, resolve);
    }),
  }));
});

// scan shows the picture and asks for the first code.
const scan = (session, made, picture, resolve) => {
  const url = URL.createObjectURL(picture);
  const leave = (result) => {
    URL.revokeObjectURL(url);
    resolve(result);
  };
  const copy = pressed("Copy the key", async () => {
    await navigator.clipboard.writeText(made.secret).catch(() => { throw new Problem({ code: "copy_failed" }); });
    say("Key copied.");
  });
  show("Scan this QR code with your app",
    el("img", { class: "qr", src: url, width: "264", height: "264", alt: "QR code for your authenticator app. The key below contains the same information." }),
    el("details", {}, el("summary", {}, "Can't scan the QR code?"), el("p", {}, "Type this key into the app:"), el("p", {}, el("code", { class: "secret" }, made.secret.match(/.{1,4}/g).join(" "))),
      el("div", { class: "actions" }, copy.made, made.otpauthUri.startsWith("otpauth://") && el("a", { href: made.otpauthUri }, "Open an app on this device")), copy.error),
    form({
      fields: [codeField("Code shown by the app")], label: "Confirm", others: [cancel(() => leave())], before: [el("p", { class: "hint" }, `The QR code is valid until ${hour(made.expiresAt)}.`)],
      act: async ({ code }) => leave(await session.call("POST", `${api}/${made.factorId}/confirm`, { body: { code } })),
    }));
};
