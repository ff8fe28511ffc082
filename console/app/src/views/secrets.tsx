// Sealed values, for administrators: names and versions, and a value when it is asked for.

import type { Schemas } from "@fountainai/client";
import { Problem } from "#page/problem.js";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { useState } from "preact/hooks";
import { ask, showOnce } from "../ask.js";
import { family, me, take } from "../family.js";
import type { Field } from "../form.js";
import { Listing } from "../listing.js";
import { from } from "../pages.js";
import { Frame, type View } from "../view.js";

type Metadata = Schemas["kms"]["SecretMetadata"];

const value: Field = { name: "value", label: "Value", kind: "area", maxLength: 32768 };

const put = (secretName: string, text: string, header: { "If-Match": string } | { "If-None-Match": string }) =>
  take(family.kms.PUT("/secrets/{secretName}", { params: { path: { secretName }, header }, body: { value: text } }));

/** Says of a secret that is there already that it is: the kms tells that its version is another one than none. */
const taken = (cause: unknown): unknown => (cause instanceof Problem && cause.code === "precondition_failed"
  ? new Problem({ code: cause.code, status: cause.status, requestId: cause.requestId, detail: "There is a secret with this name already. Choose another name, or replace it." }) : cause);

const create = async (): Promise<boolean> => {
  const made = await ask({
    title: "Create secret", label: "Create secret", fields: [{ name: "name", label: "Name", hint: "Lowercase words separated by dots. The first is usually the service that it belongs to.", maxLength: 128 }, value],
    act: (given) => put(given.text("name"), given.text("value"), { "If-None-Match": "*" }).catch((cause: unknown) => { throw taken(cause); }),
  });
  if (made) say(`${made.value.name} created.`);
  return made !== undefined;
};

const replace = async ({ name, version }: Metadata): Promise<boolean> => {
  const made = await ask({
    title: `Replace ${name}`, label: "Replace", text: "Readers get the new version from now on. The previous version can't be recovered.", fields: [value],
    act: (given) => put(name, given.text("value"), { "If-Match": `"${version}"` }),
  });
  if (made) say(`${name} replaced: version ${made.value.version}.`);
  return made !== undefined;
};

const reveal = async ({ name: secretName }: Metadata): Promise<void> => {
  const got = await ask({
    title: `Show ${secretName}?`, label: "Show value", text: "Make sure that nobody can see your screen.",
    act: () => take(family.kms.GET("/secrets/{secretName}", { params: { path: { secretName } } })),
  });
  if (got) await showOnce(secretName, `Version ${got.value.version}, of ${moment(got.value.updatedAt)}.`, got.value.value, "Close");
};

const Secrets = () => {
  const [round, setRound] = useState(0);
  const may = me().can("secrets:write");
  const after = (act: () => Promise<boolean>) => async () => {
    if (await act()) setRound(round + 1);
  };
  return <Frame title="Secrets">
    {may && <div class="actions"><button type="button" onClick={after(create)}>Create secret</button></div>}
    <Listing<Metadata> label="Secrets" of={round} id={({ name }) => name} none="No secrets." load={(cursor) => take(family.kms.GET("/secrets", { params: { query: from(cursor) } }))}
      columns={[
        { head: "Name", cell: ({ name }) => <code>{name}</code> },
        { head: "Version", cell: ({ version }) => version },
        { head: "Updated", cell: ({ updatedAt }) => moment(updatedAt) },
        { head: "Actions", cell: (one) => <div class="actions">
          <button type="button" aria-label={`Show ${one.name}`} onClick={() => reveal(one)}>Show</button>
          {may && <button type="button" aria-label={`Replace ${one.name}`} onClick={after(() => replace(one))}>Replace</button>}
        </div> },
      ]} />
  </Frame>;
};

export const secrets: View = { route: "secrets", title: "Secrets", allowed: (person) => person.can("secrets:read"), Shown: Secrets };
