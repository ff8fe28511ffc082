// The keys that sign tokens: which one does, which comes next, and how the next one takes its place, by a rotation or in an emergency.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import { Listing } from "../listing.js";
import { from } from "../pages.js";
import { Frame, announce, useRound, type View } from "../view.js";

type Key = Schemas["kms"]["SigningKey"];
type Algorithm = Key["algorithm"];

const short = (kid: string): string => `${kid.slice(0, 8)}...`;

const rotate = async (): Promise<boolean> => announce(await ask({
  title: "Rotate the signing key?", label: "Rotate",
  text: "The next key signs in ten seconds, or once it has been published for ten minutes. Until then the current key signs; tokens that it has signed remain valid. No request fails.",
  fields: [{ name: "algorithm", label: "Algorithm", kind: "choice", optional: true, options: [{ value: "", label: "of the next key" }, { value: "EdDSA", label: "EdDSA" }, { value: "ES256", label: "ES256" }] }],
  act: (given) => take(family.kms.POST("/signing-keys/rotate", { body: given.text("algorithm") ? { algorithm: given.text("algorithm") as Algorithm } : {} })),
}), ({ kid, activeAt }) => `Key ${short(kid)} signs from ${activeAt ? moment(activeAt) : "now"} on.`);

const revoke = async ({ kid, state }: Key): Promise<boolean> => announce(await ask({
  title: `Revoke key ${short(kid)}?`, label: "Revoke key", leave: "Keep it",
  text: `For a key that somebody else may have. ${state === "active" ? "It signs now: the next key takes its place at once. " : ""}Every token that it has signed is refused at once, at every service. Sessions and API keys remain valid: people and programs get a new token with them. This can't be undone.`,
  act: () => take(family.kms.POST("/signing-keys/{kid}/revoke", { params: { path: { kid } } })),
}), () => `Key ${short(kid)} revoked.`);

const ended = ({ goneAt, revokedAt }: Key) => (revokedAt ? `revoked ${moment(revokedAt)}` : goneAt && moment(goneAt));

const SigningKeys = () => {
  const [round, after] = useRound();
  const may = me().can("signing-keys:write");
  return <Frame title="Signing keys">
    <p>A key is published before it signs (next), signs (active), and stays published until what it has signed has ended (retiring, then gone). The kms rotates them by itself.</p>
    <div class="actions">
      {may && <button type="button" onClick={after(rotate)}>Rotate</button>}
      <button type="button" onClick={after(async () => true)}>Refresh</button>
    </div>
    <Listing<Key> label="Signing keys" of={round} id={({ kid }) => kid} none="No signing keys." load={(cursor) => take(family.kms.GET("/signing-keys", { params: { query: from(cursor) } }))}
      columns={[
        { head: "Key", cell: ({ kid }) => <code>{kid}</code> },
        { head: "State", cell: ({ state }) => <span class={state === "gone" ? "off" : ""}>{state}</span> },
        { head: "Algorithm", cell: ({ algorithm }) => algorithm },
        { head: "Signs from", cell: ({ activeAt }) => (activeAt ? moment(activeAt) : "not decided") },
        { head: "Signs until", cell: ({ retiringAt }) => retiringAt && moment(retiringAt) },
        { head: "Refused from", cell: ended },
        { head: "Actions", cell: (key) => may && key.state !== "gone"
          && <button type="button" aria-label={`Revoke the ${key.state} key ${key.kid}`} onClick={after(() => revoke(key))}>Revoke</button> },
      ]} />
  </Frame>;
};

export const signingKeys: View = { route: "signing-keys", title: "Signing keys", allowed: (person) => person.can("signing-keys:read"), Shown: SigningKeys };
