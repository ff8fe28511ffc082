// The API keys of one owner: a person or a service.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { useState } from "preact/hooks";
import { ask, showOnce } from "./ask.js";
import { family, me, take } from "./family.js";
import { Listing, type Page } from "./listing.js";
import { all, from } from "./pages.js";

type Key = Schemas["kms"]["ApiKey"];

export interface Owner {
  kind: "user" | "service";
  id: string;
  name: string;
}

const day = 86_400_000; // milliseconds

/** Creates a key with some of the owner's scopes; returns whether it was created. */
const create = (owner: Owner, scopes: () => Promise<string[]>) => async (): Promise<boolean> => {
  const possible = (await scopes()).sort();
  const made = await ask({
    title: `Create API key of ${owner.name}`, label: "Create key",
    fields: [
      { name: "name", label: "Name", hint: "What the key is used for.", maxLength: 120 },
      { name: "scopes", label: "Scopes", kind: "many", options: possible.map((value) => ({ value, label: value })) },
      { name: "expiresAt", label: "Days until expiry", hint: "At most 365.", kind: "number", value: "90" },
      { name: "environment", label: "Environment", kind: "choice", options: [{ value: "live", label: "live" }, { value: "test", label: "test" }] },
    ],
    act: (given) => take(family.kms.POST("/keys", { body: {
      name: given.text("name"), scopes: given.all("scopes"), environment: given.text("environment") === "test" ? "test" : "live",
      expiresAt: new Date(Date.now() + Number(given.text("expiresAt")) * day).toISOString(), ...(owner.id !== me().subject && { ownerKind: owner.kind, ownerId: owner.id }),
    } })),
  });
  if (!made) return false;
  await showOnce("Save this API key", `The key ${made.value.apiKey.name} is not shown again. Store it where your program reads its secrets.`, made.value.key);
  say(`API key ${made.value.apiKey.name} created.`);
  return true;
};

const rotate = async (key: Key): Promise<boolean> => {
  const made = await ask({
    title: `Rotate ${key.name}?`, label: "Rotate", text: "A new key with the same scopes replaces it.",
    fields: [{ name: "overlapSeconds", label: "Seconds the old key remains valid", kind: "number", value: "3600" }],
    act: (given) => take(family.kms.POST("/keys/{keyId}/rotate", { params: { path: { keyId: key.id } }, body: { overlapSeconds: Number(given.text("overlapSeconds")) } })),
  });
  if (!made) return false;
  await showOnce("Save this API key", `The new key is not shown again. The old key works until ${moment(made.value.replacedExpiresAt)}.`, made.value.key);
  say(`${key.name} rotated.`);
  return true;
};

const revoke = async (key: Key): Promise<boolean> => {
  const done = await ask({
    title: `Revoke ${key.name}?`, label: "Revoke", text: "The key and the keys that replaced it stop working at once. This can't be undone.",
    act: () => take(family.kms.DELETE("/keys/{keyId}", { params: { path: { keyId: key.id } } })),
  });
  if (done) say(`${key.name} revoked.`);
  return done !== undefined;
};

const mine = (cursor: string | undefined): Promise<Page<Key>> => take(family.kms.GET("/keys", { params: { query: { ...from(cursor), owner: "me" } } }));

/** Returns the keys of another owner: the operation lists only one's own or everyone's. */
const of = async ({ id }: Owner): Promise<Page<Key>> =>
  ({ items: (await all((cursor) => take(family.kms.GET("/keys", { params: { query: from(cursor, 200) } })))).filter(({ ownerId }) => ownerId === id) });

export const Keys = ({ owner, scopes }: { owner: Owner; scopes: () => Promise<string[]> }) => {
  const [round, setRound] = useState(0);
  const own = owner.id === me().subject, may = me().can("keys:write");
  const after = (act: () => Promise<boolean>) => async () => {
    if (await act()) setRound(round + 1);
  };
  const working = ({ status }: Key) => status === "active" || status === "expiring";
  return <>
    {may && <div class="actions"><button type="button" onClick={after(create(owner, scopes))}>Create API key</button></div>}
    <Listing<Key> label={`API keys of ${owner.name}`} of={round} id={({ id }) => id} none="No API keys yet."
      load={own ? mine : () => of(owner)}
      columns={[
        { head: "Name", cell: ({ name, start }) => <>{name} <code>{start}...</code></> },
        { head: "Scopes", cell: ({ scopes }) => scopes.join(", ") },
        { head: "State", cell: ({ status }) => <span class={status === "active" ? "" : "off"}>{status}</span> },
        { head: "Expires", cell: ({ expiresAt }) => moment(expiresAt) },
        { head: "Last used", cell: ({ lastUsedAt }) => (lastUsedAt ? moment(lastUsedAt) : "never") },
        { head: "Actions", cell: (key) => (may && working(key) ? <div class="actions">
          {key.status === "active" && <button type="button" aria-label={`Rotate ${key.name}`} onClick={after(() => rotate(key))}>Rotate</button>}
          <button type="button" aria-label={`Revoke ${key.name}`} onClick={after(() => revoke(key))}>Revoke</button>
        </div> : "") },
      ]} />
  </>;
};
