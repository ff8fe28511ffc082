// Scopes, their types with their counts, numbered elements, and their versions.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import type { Field, Given } from "../form.js";
import { Form, json } from "../form.js";
import { excerpt, History, stateOf } from "../history.js";
import { Facts, Listing, Table } from "../listing.js";
import { moveBeside, Mover, useMove } from "../move.js";
import { NumberFormat } from "../numberformat.js";
import { from } from "../pages.js";
import { address, go } from "../route.js";
import { Trouble } from "../trouble.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

type Element = Schemas["sequence"]["Element"];
type Summary = Schemas["sequence"]["ScopeSummary"];

const Choice = () => <Frame title="Sequence">
  <p>Elements are numbered by scope (for example a script) and type, from 1 without gaps.</p>
  <Form label="Show the elements" fields={[{ name: "scope", label: "Scope", maxLength: 128 }, { name: "elementType", label: "Type", hint: "For example scene, character or action.", maxLength: 64 }]}
    act={async (given) => go("sequence", given.text("scope"), given.text("elementType"))} />
  <Listing<Summary> label="Scopes" id={({ scope }) => scope} none="No scopes yet. A scope begins with its first element."
    load={(cursor) => take(family.sequence.GET("/scopes", { params: { query: from(cursor) } }))}
    columns={[
      { head: "Scope", cell: ({ scope }) => <a href={address("sequence", scope)}>{scope}</a> },
      { head: "Types", cell: ({ types }) => types },
      { head: "Elements", cell: ({ count }) => count },
    ]} />
</Frame>;

const Types = ({ scope }: { scope: string }) => {
  const counts = useLoaded(() => take(family.sequence.GET("/scopes/{scope}", { params: { path: { scope } } })), [scope]);
  return <Frame title={scope}>
    <Show loaded={counts}>{({ types }) => <Table label={`Types of ${scope}`} items={types} id={({ elementType }) => elementType} columns={[
      { head: "Type", cell: ({ elementType }) => <a href={address("sequence", scope, elementType)}>{elementType}</a> },
      { head: "Elements", cell: ({ count }) => count },
      { head: "Omitted", cell: ({ omitted }) => omitted },
      { head: "Next number", cell: ({ nextNumber }) => nextNumber },
    ]} />}</Show>
  </Frame>;
};

const data: Field = { name: "data", label: "Data", hint: "A JSON object.", kind: "area", maxLength: 65536, value: "{}" };
const comment: Field = { name: "comment", label: "Comment", optional: true, maxLength: 1024 };

const bodyOf = (given: Given) => ({ data: json(given, "data") as Element["data"], ...(given.text("comment") && { comment: given.text("comment") }) });

const Elements = ({ scope, elementType }: { scope: string; elementType: string }) => {
  const [round, setRound] = useState(0);
  const create = async () => {
    const made = await ask({
      title: `Create ${elementType}`, label: "Create element", text: "It gets the next number.",
      fields: [{ name: "id", label: "ID", hint: "Assigned when empty.", optional: true, maxLength: 64 }, data, comment],
      act: (given) => take(family.sequence.POST("/scopes/{scope}/{elementType}/elements", {
        params: { path: { scope, elementType } }, body: { ...(given.text("id") && { id: given.text("id") }), ...bodyOf(given) },
      })),
    });
    if (!made) return;
    say(`Element ${made.value.number} created.`);
    setRound(round + 1);
  };
  const moving = useMove(() => setRound((n) => n + 1));
  const writes = me().can("elements:write");
  return <Frame title={`${scope}: ${elementType}`}>
    {writes && <><div class="actions"><button type="button" onClick={create}>Create element</button></div>
      <p class="hint">Move places an element next to another one: drag it there, or press it. The arrows move it by one place. The changes are shown first.</p></>}
    {moving.problem !== undefined && <Trouble problem={moving.problem} />}
    <Listing<Element> label="Elements" of={round} id={({ id }) => id} none="No elements." mark={moving.mark} regain={moving.handle}
      load={(cursor) => take(family.sequence.GET("/scopes/{scope}/{elementType}/elements", { params: { path: { scope, elementType }, query: from(cursor) } }))}
      columns={[
        { head: "Number", cell: ({ id, number }) => <a href={address("sequence", scope, elementType, id)}>{number}</a> },
        { head: "Formatted", cell: ({ formattedNumber }) => formattedNumber && <code>{formattedNumber}</code> },
        { head: "ID", cell: ({ id }) => <code>{id}</code> },
        { head: "Version", cell: ({ version }) => version },
        { head: "State", cell: ({ status }) => <span class={status === "active" ? "" : "off"}>{status}</span> },
        { head: "Data", cell: ({ data }) => <code>{excerpt(data)}</code> },
        ...(writes ? [{ head: "Place", cell: (one: Element, items: Element[]) => <Mover one={one} items={items} moving={moving} /> }] : []),
      ]} />
    <NumberFormat scope={scope} elementType={elementType} of={round} />
  </Frame>;
};

const One = (path: { scope: string; elementType: string; elementId: string }) => {
  const element = useLoaded(() => take(family.sequence.GET("/scopes/{scope}/{elementType}/elements/{elementId}", { params: { path } })), Object.values(path));
  const revise = async (one: Element) => {
    const done = await ask({
      title: `Create version of ${path.elementType} ${one.number}`, label: "Create version", fields: [{ ...data, value: JSON.stringify(one.data, null, 2) }, comment],
      act: (given) => take(family.sequence.POST("/scopes/{scope}/{elementType}/elements/{elementId}/versions", { params: { path, header: { "If-Match": stateOf(one) } }, body: bodyOf(given) })),
    });
    if (!done) return;
    say(`Version ${done.value.version} created.`);
    element.reload();
  };
  const omit = async () => {
    const done = await ask({
      title: `Omit ${path.elementType} ${element.value?.number}?`, label: "Omit", text: "It keeps its number and versions, and is marked as omitted.",
      act: () => take(family.sequence.POST("/scopes/{scope}/{elementType}/elements/{elementId}/omit", { params: { path } })),
    });
    if (!done) return;
    say("Element omitted.");
    element.reload();
  };
  const restore = async () => {
    const done = await ask({
      title: `Restore ${path.elementType} ${element.value?.number}?`, label: "Restore", text: "It is in use again, in its place, with its number and versions.",
      act: () => take(family.sequence.POST("/scopes/{scope}/{elementType}/elements/{elementId}/restore", { params: { path } })),
    });
    if (!done) return;
    say("Element restored.");
    element.reload();
  };
  const move = async (one: Element) => { if (await moveBeside(one)) element.reload(); };
  return <Frame title={`${path.scope}: ${path.elementType} ${path.elementId}`}>
    <Show loaded={element}>{(one) => <>
      <Facts facts={[["Number", one.number], ...(one.formattedNumber ? [["Formatted number", <code>{one.formattedNumber}</code>] as [string, ComponentChildren]] : []), ["State", one.status], ["Version", one.version], ["Changed", moment(one.updatedAt)]]} />
      <pre tabIndex={0}>{JSON.stringify(one.data, null, 2)}</pre>
      {me().can("elements:write") && <div class="actions">{one.status === "active"
        ? <><button type="button" onClick={() => revise(one)}>Create version</button><button type="button" onClick={omit}>Omit</button></>
        : <button type="button" onClick={restore}>Restore</button>}<button type="button" onClick={() => move(one)}>Move</button></div>}
    </>}</Show>
    {element.value && <History of={element.value} changed={element.reload} />}
  </Frame>;
};

export const sequence: View = {
  route: "sequence", title: "Sequence", allowed: (person) => person.can("elements:read"),
  Shown: ({ of: [scope, elementType, elementId] }) => (!scope ? <Choice /> : !elementType ? <Types scope={scope} /> : elementId ? <One scope={scope} elementType={elementType} elementId={elementId} />
    : <Elements scope={scope} elementType={elementType} />),
};
