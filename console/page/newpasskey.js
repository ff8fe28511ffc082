// Adds a passkey: a name, then what the browser asks.

import { el } from "./dom.js";
import { cancel, form } from "./form.js";
import { invitationField, labelField, withInvitation } from "./label.js";
import { create } from "./passkey.js";
import { show } from "./screen.js";

const api = "/twofactor/v1/factors/passkey";

// addPasskey adds a passkey; others are the names of existing factors. It resolves with the confirmed factor, which has recovery codes if it is the first, or with undefined if the person cancelled.
export const addPasskey = (session, others) => new Promise((resolve) => {
  const invitation = invitationField();
  show("Add a passkey", el("p", {}, "A passkey signs you in without a password. It is stored on this device, a phone, a security key or in a password manager. The browser asks you where."), form({
    fields: [labelField("This device", others), invitation], label: "Continue", others: [cancel(() => resolve())],
    act: (given) => withInvitation(invitation, async () => {
      const made = await session.call("POST", api, { body: given.invitation ? given : { label: given.label } });
      const credential = await create(made.options);
      resolve(await session.call("POST", `${api}/${made.factorId}/confirm`, { body: { credential } }));
    }),
  }));
});
