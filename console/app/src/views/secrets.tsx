// Sealed values, for administrators: names without values, the versions of each with their stages, and how the kms rotates it. A value is shown when it is asked for.

import type { Schemas } from "@fountainai/client";
import { Problem } from "#page/problem.js";
import { moment } from "#page/words.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import type { Field } from "../form.js";
import { Listing } from "../listing.js";
import { from } from "../pages.js";
import { address } from "../route.js";
import { Rotation } from "../rotation.js";
import { reveal, Versions } from "../secretversions.js";
import { Frame, announce, useRound, type View } from "../view.js";

type Metadata = Schemas["kms"]["SecretMetadata"];

const value: Field = { name: "value", label: "Value", kind: "area", maxLength: 32768 };

const put = (secretName: string, text: string, header: { "If-Match": string } | { "If-None-Match": string }, stage: "current" | "pending" = "current") =>
  take(family.kms.PUT("/secrets/{secretName}", { params: { path: { secretName }, header, query: { stage } }, body: { value: text } }));

/** Replaces the problem of a secret that exists already: the kms answers precondition_failed, since its version is not none. */
const alreadyExists = (cause: unknown): unknown => (cause instanceof Problem && cause.code === "precondition_failed"
  ? new Problem({ code: cause.code, status: cause.status, requestId: cause.requestId, detail: "A secret with this name exists already. Choose another name, or replace it." }) : cause);

const create = async (): Promise<boolean> => announce(await ask({
  title: "Create secret", label: "Create secret", fields: [{ name: "name", label: "Name", hint: "Lowercase words separated by dots. The first is usually the service that it belongs to.", maxLength: 128 }, value],
  act: (given) => put(given.text("name"), given.text("value"), { "If-None-Match": "*" }).catch((cause: unknown) => { throw alreadyExists(cause); }),
}), ({ name }) => `${name} created.`);

const replace = async (name: string, version: number): Promise<boolean> => announce(await ask({
  title: `Replace ${name}`, label: "Replace", text: "The previous version remains, and can be made current again.", fields: [value, { name: "stage", label: "Readers get it", kind: "choice",
    options: [{ value: "current", label: "from now on" }, { value: "pending", label: "once it is made current" }] }],
  act: (given) => put(name, given.text("value"), { "If-Match": `"${version}"` }, given.text("stage") === "pending" ? "pending" : "current"),
}), (now) => (now.version === version ? `${name} has a pending version: ${now.pendingVersion}.` : `${name} replaced: version ${now.version}.`));

const Secrets = () => {
  const [round, after] = useRound();
  const may = me().can("secrets:write");
  return <Frame title="Secrets">
    {may && <div class="actions"><button type="button" onClick={after(create)}>Create secret</button></div>}
    <Listing<Metadata> label="Secrets" of={round} id={({ name }) => name} none="No secrets." load={(cursor) => take(family.kms.GET("/secrets", { params: { query: from(cursor) } }))}
      columns={[
        { head: "Name", cell: ({ name }) => <a href={address("secrets", name)}>{name}</a> },
        { head: "Version", cell: ({ version, pendingVersion }) => (pendingVersion ? `${version}, ${pendingVersion} pending` : version) },
        { head: "Updated", cell: ({ updatedAt }) => moment(updatedAt) },
        { head: "Actions", cell: ({ name, version }) => <div class="actions">
          <button type="button" aria-label={`Show ${name}`} onClick={() => reveal(name)}>Show</button>
          {may && <button type="button" aria-label={`Replace ${name}`} onClick={after(() => replace(name, version))}>Replace</button>}
        </div> },
      ]} />
  </Frame>;
};

const One = ({ name }: { name: string }) => {
  const [round, after] = useRound();
  const may = me().can("secrets:write");
  return <Frame title={name}>
    <Versions name={name} round={round} after={after} replace={may && ((current) => replace(name, current))} />
    <Rotation name={name} round={round} after={after} />
  </Frame>;
};

export const secrets: View = {
  route: "secrets", title: "Secrets", allowed: (person) => person.can("secrets:read"), Shown: ({ of: [name] }) => (name ? <One key={name} name={name} /> : <Secrets />),
};
