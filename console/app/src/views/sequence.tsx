// Numbered elements by their scope and type, and their versions.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import { Form } from "../form.js";
import { Facts, Listing } from "../listing.js";
import { from } from "../pages.js";
import { address, go } from "../route.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

type Element = Schemas["sequence"]["Element"];
type Version = Schemas["sequence"]["Version"];

const Choice = () => <Frame title="Sequence">
  <p>The elements of a type in a scope, a script for example, have numbers from 1 without a gap.</p>
  <Form label="Show the elements" fields={[{ name: "scope", label: "Scope", maxLength: 128 }, { name: "elementType", label: "Type", hint: "As scene, character or action.", maxLength: 64 }]}
    act={async (given) => go("sequence", given.text("scope"), given.text("elementType"))} />
</Frame>;

const excerpt = (data: unknown): string => {
  const text = JSON.stringify(data);
  return text.length > 120 ? `${text.slice(0, 120)} ...` : text;
};

const Elements = ({ scope, elementType }: { scope: string; elementType: string }) => <Frame title={`${scope}: ${elementType}`}>
  <Listing<Element> label="Elements" id={({ id }) => id} none="There are none."
    load={(cursor) => take(family.sequence.GET("/scopes/{scope}/{elementType}/elements", { params: { path: { scope, elementType }, query: from(cursor) } }))}
    columns={[
      { head: "Number", cell: ({ id, number }) => <a href={address("sequence", scope, elementType, id)}>{number}</a> },
      { head: "Version", cell: ({ version }) => version },
      { head: "State", cell: ({ status }) => <span class={status === "active" ? "" : "off"}>{status}</span> },
      { head: "Data", cell: ({ data }) => <code>{excerpt(data)}</code> },
    ]} />
</Frame>;

const One = (path: { scope: string; elementType: string; elementId: string }) => {
  const element = useLoaded(() => take(family.sequence.GET("/scopes/{scope}/{elementType}/elements/{elementId}", { params: { path } })), Object.values(path));
  const omit = async () => {
    const done = await ask({
      title: `Omit ${path.elementType} ${element.value?.number}?`, label: "Omit", text: "It keeps its number and its versions, and counts as left out.",
      act: () => take(family.sequence.POST("/scopes/{scope}/{elementType}/elements/{elementId}/omit", { params: { path } })),
    });
    if (!done) return;
    say("It is omitted.");
    element.reload();
  };
  return <Frame title={`${path.scope}: ${path.elementType} ${path.elementId}`}>
    <Show loaded={element}>{(one) => <>
      <Facts facts={[["Number", one.number], ["State", one.status], ["Version", one.version], ["Changed", moment(one.updatedAt)]]} />
      <pre tabIndex={0}>{JSON.stringify(one.data, null, 2)}</pre>
      {me().can("elements:write") && one.status === "active" && <div class="actions"><button type="button" onClick={omit}>Omit</button></div>}
    </>}</Show>
    <section aria-label="Versions"><h2>Versions</h2>
      <Listing<Version> label="Versions" id={({ version }) => String(version)} none="There are none."
        load={(cursor) => take(family.sequence.GET("/scopes/{scope}/{elementType}/elements/{elementId}/versions", { params: { path, query: from(cursor) } }))}
        columns={[
          { head: "Version", cell: ({ version }) => version }, { head: "Made", cell: ({ createdAt }) => moment(createdAt) }, { head: "By", cell: ({ createdBy }) => <code>{createdBy}</code> },
          { head: "Data", cell: ({ data }) => <code>{excerpt(data)}</code> },
        ]} />
    </section>
  </Frame>;
};

export const sequence: View = {
  route: "sequence", title: "Sequence", allowed: (person) => person.can("elements:read"),
  Shown: ({ of: [scope, elementType, elementId] }) => (!scope || !elementType ? <Choice /> : elementId ? <One scope={scope} elementType={elementType} elementId={elementId} />
    : <Elements scope={scope} elementType={elementType} />),
};
