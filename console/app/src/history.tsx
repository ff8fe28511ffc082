// The versions of an element: what each has, what changed between two, and an old one as the newest.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { useState } from "preact/hooks";
import { ask } from "./ask.js";
import { family, me, take } from "./family.js";
import { Form } from "./form.js";
import { Listing, Table } from "./listing.js";
import { from } from "./pages.js";

type Element = Schemas["sequence"]["Element"];
type Version = Schemas["sequence"]["Version"];
type Comparison = Schemas["sequence"]["VersionComparison"];

/** Writes data in one line, as far as there is place. */
export const excerpt = (data: unknown): string => {
  const text = JSON.stringify(data);
  return text.length > 120 ? `${text.slice(0, 120)} ...` : text;
};

const pathOf = ({ scope, elementType, id }: Element) => ({ scope, elementType, elementId: id });

/** The state that a write was made from, as the contract wants it. */
export const stateOf = ({ version, number, status }: Element): string => `"${version}-${number}-${status}"`;

const restore = async (one: Element, version: number): Promise<boolean> => {
  const done = await ask({
    title: `Restore version ${version} of ${one.elementType} ${one.number}?`, label: "Restore", text: "Its data become a new version. The versions in between remain.",
    fields: [{ name: "comment", label: "Comment", optional: true, maxLength: 1024 }],
    act: (given) => take(family.sequence.POST("/scopes/{scope}/{elementType}/elements/{elementId}/versions/{version}/restore", {
      params: { path: { ...pathOf(one), version }, header: { "If-Match": stateOf(one) } }, body: { ...(given.text("comment") && { comment: given.text("comment") }) },
    })),
  });
  if (done) say(`Version ${version} restored as version ${done.value.version}.`);
  return done !== undefined;
};

/** An element's versions, oldest first; changed is called when there is one more. */
export const History = ({ of, changed }: { of: Element; changed: () => void }) => {
  const restorable = me().can("elements:write") && of.status === "active";
  return <section aria-label="Versions"><h2>Versions</h2>
    <Listing<Version> label="Versions" of={of.version} id={({ version }) => String(version)} none="No versions."
      load={(cursor) => take(family.sequence.GET("/scopes/{scope}/{elementType}/elements/{elementId}/versions", { params: { path: pathOf(of), query: from(cursor) } }))}
      columns={[
        { head: "Version", cell: ({ version }) => version }, { head: "Created", cell: ({ createdAt }) => moment(createdAt) }, { head: "By", cell: ({ createdBy }) => <code>{createdBy}</code> },
        { head: "Comment", cell: ({ comment }) => comment },
        { head: "Data", cell: ({ data }) => <code>{excerpt(data)}</code> },
        { head: "", cell: ({ version }) => restorable && version < of.version
          && <button type="button" aria-label={`Restore version ${version}`} onClick={async () => { if (await restore(of, version)) changed(); }}>Restore</button> },
      ]} />
    {of.version > 1 && <Compare key={of.version} of={of} />}
  </section>;
};

/** Two versions beside each other, by the patch (RFC 6902) that makes the one out of the other. */
const Compare = ({ of }: { of: Element }) => {
  const [found, setFound] = useState<Comparison>();
  const compare = async (version: number, from: number) => setFound(await take(family.sequence.GET("/scopes/{scope}/{elementType}/elements/{elementId}/versions/{version}/compare", {
    params: { path: { ...pathOf(of), version }, query: { from } },
  })));
  return <section aria-label="Compare versions"><h2>Compare versions</h2>
    <Form label="Compare" fields={[{ name: "from", label: "From version", kind: "number", value: String(of.version - 1) }, { name: "version", label: "To version", kind: "number", value: String(of.version) }]}
      act={(given) => compare(Number(given.text("version")), Number(given.text("from")))} />
    {found && <>
      <p role="status">{found.patch.length === 0 ? `Versions ${found.from} and ${found.to} have the same data.` : `Changes from version ${found.from} to ${found.to}: ${found.patch.length}.`}</p>
      {found.patch.length > 0 && <Table label="Changes" items={found.patch.map((one, at) => ({ ...one, at }))} id={({ at }) => String(at)} columns={[
        { head: "Change", cell: ({ op }) => op },
        { head: "Where", cell: ({ path }) => <code>{path === "" ? "all of it" : path}</code> },
        { head: "Value", cell: ({ op, value }) => op !== "remove" && <code>{excerpt(value ?? null)}</code> },
      ]} />}
    </>}
  </section>;
};
