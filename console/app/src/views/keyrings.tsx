// Keyrings: keys that encrypt, sum and sign for programs, by operations of the kms. Secret and private keys are in no answer.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import type { Field, Given } from "../form.js";
import { Facts, Listing, Table } from "../listing.js";
import { from } from "../pages.js";
import { address, go } from "../route.js";
import { Frame, Show, announce, useLoaded, useRound, type View } from "../view.js";

type Keyring = Schemas["kms"]["Keyring"];

const encrypts = ({ algorithm }: { algorithm: Keyring["algorithm"] }): boolean => algorithm === "AES-256-GCM";

const services = (ring?: Keyring): Field =>
  ({ name: "services", label: "Services", kind: "area", optional: true, maxLength: 4096, hint: "One per line: services that may use it. Administrators always may.", value: ring?.services.join("\n") ?? "" });

const uses = (ring?: Keyring): Field =>
  ({ name: "maxUses", label: "Encryptions of one key", kind: "number", optional: true, hint: "For AES-256-GCM: the keyring rotates automatically before this number. 2147483648 when empty.", value: String(ring?.maxUses ?? "") });

/** What is said of uses and services, in a request. */
const rulesOf = (given: Given, ring: { algorithm: Keyring["algorithm"] }) => {
  const maxUses = given.number("maxUses");
  return { services: given.words("services"), ...(encrypts(ring) && maxUses !== undefined && { maxUses }) };
};

const create = async (): Promise<boolean> => {
  const made = await ask({
    title: "Create keyring", label: "Create keyring", fields: [
      { name: "name", label: "Name", hint: "Lowercase letters, digits and hyphens.", maxLength: 63 },
      { name: "algorithm", label: "Algorithm", kind: "choice", options: [{ value: "AES-256-GCM", label: "AES-256-GCM: encrypts" }, { value: "HMAC-SHA256", label: "HMAC-SHA256: authenticates" },
        { value: "EdDSA", label: "EdDSA: signs" }, { value: "ES256", label: "ES256: signs" }] },
      services(), uses(),
    ],
    act: (given) => {
      const algorithm = given.text("algorithm") as Keyring["algorithm"];
      return take(family.kms.POST("/keyrings", { body: { name: given.text("name"), algorithm, ...rulesOf(given, { algorithm }) } }));
    },
  });
  if (made) go("keyrings", made.value.name);
  return announce(made, ({ name }) => `Keyring ${name} created.`);
};

const Keyrings = () => {
  const [round, after] = useRound();
  return <Frame title="Keyrings">
    <p>Programs encrypt, authenticate (HMAC) and sign with them by operations of the kms, and never see the keys. Keyrings that services of the family use internally are not listed.</p>
    {me().can("keyrings:write") && <div class="actions"><button type="button" onClick={after(create)}>Create keyring</button></div>}
    <Listing<Keyring> label="Keyrings" of={round} id={({ name }) => name} none="No keyrings." load={(cursor) => take(family.kms.GET("/keyrings", { params: { query: from(cursor) } }))}
      columns={[
        { head: "Name", cell: ({ name }) => <a href={address("keyrings", name)}>{name}</a> },
        { head: "Algorithm", cell: ({ algorithm }) => algorithm },
        { head: "Current key", cell: ({ currentKey }) => currentKey },
        { head: "Services", cell: (ring) => ring.services.join(", ") || "none" },
        { head: "Rotated", cell: ({ rotatedAt }) => moment(rotatedAt) },
        { head: "State", cell: ({ deleteAt }) => (deleteAt ? <span class="off">deleted on {moment(deleteAt)}</span> : "in use") },
      ]} />
  </Frame>;
};

/** What is done with a keyring; each resolves with whether it was. */
const actionsOf = (ring: Keyring) => {
  const { name } = ring, path = { keyring: name }, header = { "If-Match": `"${ring.version}"` };
  return {
    rotate: async () => announce(await ask({
      title: `Rotate ${name}?`, label: "Rotate", text: "A new key takes over. The older keys still decrypt and verify. Programs can rewrap what they have encrypted (rewrapData) later.",
      act: () => take(family.kms.POST("/keyrings/{keyring}/rotate", { params: { path } })),
    }), ({ currentKey }) => `${name} rotated: key ${currentKey}.`),
    update: async () => announce(await ask({
      title: `Update ${name}`, label: "Update", fields: [services(ring), ...(encrypts(ring) ? [uses(ring)] : [])],
      act: (given) => take(family.kms.PATCH("/keyrings/{keyring}", { params: { path, header }, body: rulesOf(given, ring) })),
    }), () => `${name} updated.`),
    giveUp: async () => announce(await ask({
      title: `Give up older keys of ${name}?`, label: "Give up keys", leave: "Keep them",
      text: "Keys that are older than this one no longer decrypt or verify anything, and data keys that they have wrapped are lost. Let programs rewrap everything first. This can't be undone.",
      fields: [{ name: "minVersion", label: "Oldest key that stays", kind: "number", value: String(ring.currentKey), hint: `From ${ring.minVersion} to ${ring.currentKey}.` }],
      act: (given) => take(family.kms.PATCH("/keyrings/{keyring}", { params: { path, header }, body: { minVersion: Number(given.text("minVersion")) } })),
    }), ({ minVersion }) => `Keys of ${name} before ${minVersion} are given up.`),
    remove: async () => announce(await ask({
      title: `Delete ${name}?`, label: "Delete", text: "It can't be used from now on. In seven days its keys are deleted, and what they have encrypted can't be decrypted any more. Until then it can be restored.",
      act: () => take(family.kms.DELETE("/keyrings/{keyring}", { params: { path } })),
    }), ({ deleteAt }) => `${name} is deleted${deleteAt ? ` on ${moment(deleteAt)}` : ""}.`),
    restore: async () => announce(await ask({
      title: `Restore ${name}?`, label: "Restore", text: "It is in use again, with all its keys.", act: () => take(family.kms.POST("/keyrings/{keyring}/restore", { params: { path } })),
    }), () => `${name} restored.`),
  };
};

const One = ({ name }: { name: string }) => {
  const [round, after] = useRound();
  const ring = useLoaded(() => take(family.kms.GET("/keyrings/{keyring}", { params: { path: { keyring: name } } })), [name, round]);
  return <Frame title={name}><Show loaded={ring}>{(one) => <Known ring={one} after={after} />}</Show></Frame>;
};

const Known = ({ ring, after }: { ring: Keyring; after: (act: () => Promise<boolean>) => () => Promise<void> }) => {
  const actions = actionsOf(ring), keys = ring.keys ?? [], old = ring.currentKey - ring.minVersion;
  return <>
    <Facts facts={[["Algorithm", ring.algorithm], ["State", ring.deleteAt ? <span class="off">deleted on {moment(ring.deleteAt)}</span> : "in use"], ["Current key", ring.currentKey],
      ["Older keys in use", old === 0 ? "none" : `${old}, from ${ring.minVersion} on`], ["Services", ring.services.join(", ") || "none"],
      ...(encrypts(ring) ? [["Encryptions of one key", ring.maxUses] as [string, number]] : []), ["Created", moment(ring.createdAt)], ["Rotated", moment(ring.rotatedAt)]]} />
    {me().can("keyrings:write") && <div class="actions">{ring.deleteAt ? <button type="button" onClick={after(actions.restore)}>Restore</button> : <>
      <button type="button" onClick={after(actions.rotate)}>Rotate</button>
      <button type="button" onClick={after(actions.update)}>Update</button>
      {old > 0 && <button type="button" onClick={after(actions.giveUp)}>Give up older keys</button>}
      <button type="button" onClick={after(actions.remove)}>Delete</button>
    </>}</div>}
    <section aria-label="Keys"><h2>Keys</h2>
      <Table label="Keys" items={keys} id={({ keyVersion }) => String(keyVersion)} columns={[
        { head: "Key", cell: ({ keyVersion }) => keyVersion },
        { head: "State", cell: ({ keyVersion }) => (keyVersion === ring.currentKey ? "current" : keyVersion < ring.minVersion ? <span class="off">given up</span> : "decrypts and verifies") },
        { head: "Created", cell: ({ createdAt }) => moment(createdAt) },
        ...(encrypts(ring) ? [{ head: "Encryptions", cell: ({ uses: made = 0 }: (typeof keys)[number]) => `at most ${made}` }] : []),
        ...(keys.some(({ publicKey }) => publicKey) ? [{ head: "Public key", cell: ({ publicKey }: (typeof keys)[number]) => <code>{publicKey}</code> }] : []),
      ]} />
    </section>
  </>;
};

export const keyrings: View = {
  route: "keyrings", title: "Keyrings", allowed: (person) => person.can("keyrings:read"), Shown: ({ of: [name] }) => (name ? <One name={name} /> : <Keyrings />),
};
