// Moving an element to another place of its type: by dragging its button, by one place, or beside an element that is named. What changes is shown before anything is done.

import type { Schemas } from "@fountainai/client";
import { Problem } from "#page/problem.js";
import { say } from "#page/screen.js";
import { useRef, useState } from "preact/hooks";
import { ask } from "./ask.js";
import { family, take } from "./family.js";
import { Table } from "./listing.js";

type Element = Schemas["sequence"]["Element"];
type Change = Schemas["sequence"]["NumberChange"];
type Done = Schemas["sequence"]["ReorderResult"];
type Place = Schemas["sequence"]["Move"];

const pathOf = ({ scope, elementType, id }: Element) => ({ scope, elementType, elementId: id });

const preview = async (one: Element, place: Place): Promise<Done> =>
  take(family.sequence.POST("/scopes/{scope}/{elementType}/elements/{elementId}/move/preview", { params: { path: pathOf(one) }, body: place }));

const move = async (one: Element, place: Place): Promise<Done> =>
  take(family.sequence.POST("/scopes/{scope}/{elementType}/elements/{elementId}/move", { params: { path: pathOf(one) }, body: place }));

/** Whether two moves change the same numbers. What is shifted goes by the numbers of the element that is moved. */
const same = ({ changes: some }: Done, { changes: others }: Done): boolean => {
  const from = new Map(others.map(({ id, from, to }) => [id, `${from} ${to}`]));
  return some.length === others.length && some.every(({ id, from: number, to }) => from.get(id) === `${number} ${to}`);
};

const most = 20; // changes that are shown

/** What a move changes: the element first, then those between in their new order, or their range where they are too many to be named. */
const Changes = ({ of: { changes, shifted }, first }: { of: Done; first: string }) => {
  const rank = ({ id, to }: Change) => (id === first ? 0 : to);
  const items = [...changes].sort((a, b) => rank(a) - rank(b));
  return <>
    <Table label="Changes" items={items.slice(0, most)} id={({ id }) => id}
      columns={[{ head: "ID", cell: ({ id }) => <code>{id}</code> }, { head: "Number now", cell: ({ from }) => from }, { head: "Then", cell: ({ to }) => to }]} />
    {items.length > most && <p>{items.length - most} more change by one each.</p>}
    {shifted && <p>{shifted.to - shifted.from + 1} more change by one each: the numbers from {shifted.from} to {shifted.to} become those from {shifted.from + shifted.by} to {shifted.to + shifted.by}.</p>}
  </>;
};

/** Shows what the move changes, and does it when the person wants it. Where the order has changed since, it shows that and asks again. Resolves with whether it was done. */
const confirm = async (one: Element, place: Place, expected: Done): Promise<boolean> => {
  for (let planned = expected, again = false; ; again = true) {
    const shown = planned, number = shown.changes.find(({ id }) => id === one.id)?.from;
    if (number === undefined) {
      say(`${one.id} is already in this place.`);
      return false;
    }
    const done = await ask({
      title: `Move ${one.elementType} ${number}?`, label: "Move",
      text: again ? "The order has changed since the preview. Nothing was moved. The move would now change these numbers:" : "The move changes these numbers:",
      shows: <Changes of={shown} first={one.id} />,
      act: async (): Promise<{ moved: Done } | { now: Done }> => {
        const now = await preview(one, place);
        return same(now, shown) ? { moved: await move(one, place) } : { now };
      },
    });
    if (!done) return false;
    if ("moved" in done.value) {
      const to = done.value.moved.changes.find(({ id }) => id === one.id)?.to ?? number;
      say(`${one.id} now has the number ${to}.`);
      return true;
    }
    planned = done.value.now;
  }
};

/** Asks which element it is to stand beside, and resolves with whether it was moved. */
export const moveBeside = async (one: Element): Promise<boolean> => {
  const asked = await ask({
    title: `Move ${one.elementType} ${one.number}`, label: "Preview", text: "It is placed next to another element. Enter the ID of that element.",
    fields: [
      { name: "before", label: "Before", hint: "The element before which it is placed.", optional: true, maxLength: 128 },
      { name: "after", label: "After", hint: "Or the element after which it is placed.", optional: true, maxLength: 128 },
    ],
    act: async (given) => {
      const before = given.text("before"), after = given.text("after");
      if (!before === !after) throw new Problem({ code: "one_place" });
      const place = before ? { before } : { after };
      return { place, planned: await preview(one, place) };
    },
  });
  return asked !== undefined && confirm(one, asked.value.place, asked.value.planned);
};

const slack = 6; // pixels that a hand moves while it presses
const edge = 48, step = 16; // pixels: near the upper and lower edge of the window the page scrolls

interface Target {
  id: string;
  side: "before" | "after";
}

/** The row under the pointer, of the same table as the button that is dragged, and the half of it. */
const rowAt = (event: PointerEvent): Target | undefined => {
  const row = document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("tr[data-id]");
  if (!row || row.closest("table") !== (event.currentTarget as HTMLElement).closest("table")) return undefined;
  const { top, height } = row.getBoundingClientRect();
  return { id: row.dataset["id"]!, side: event.clientY < top + height / 2 ? "before" : "after" };
};

export interface Moving {
  /** Moves an element beside another one. */
  to: (one: Element, place: Place) => Promise<void>;
  /** Moves an element beside one that the person names. */
  beside: (one: Element) => Promise<void>;
  /** Where the element that is dragged would come if it were dropped now. */
  over: (target: Target | undefined) => void;
  /** The class of a row, while an element is dragged over it. */
  mark: (one: Element) => string | undefined;
  /** The button of the element that was moved last. */
  handle: () => HTMLElement | null;
  /** What the last move failed with, before anything was asked. */
  problem: unknown;
}

/** Moves elements of a list; moved is called when one was. */
export const useMove = (moved: () => void): Moving => {
  const [target, setTarget] = useState<Target>();
  const [problem, setProblem] = useState<unknown>();
  const last = useRef("");
  const after = async (one: Element, done: Promise<boolean>) => {
    setProblem(undefined);
    try {
      if (!(await done)) return;
      last.current = one.id;
      moved();
    } catch (cause) {
      setProblem(cause);
    }
  };
  return {
    problem,
    to: (one, place) => after(one, preview(one, place).then((planned) => confirm(one, place, planned))),
    beside: (one) => after(one, moveBeside(one)),
    over: setTarget,
    mark: ({ id }) => (target?.id === id ? target.side : undefined),
    handle: () => document.querySelector<HTMLElement>(`tr[data-id="${CSS.escape(last.current)}"] .handle`),
  };
};

/** The buttons of an element's row. Nothing is done by dragging alone: it asks, as the other buttons do. */
export const Mover = ({ one, items, moving }: { one: Element; items: Element[]; moving: Moving }) => {
  const held = useRef<{ x: number; y: number; dragged: boolean; target: Target | undefined } | undefined>(undefined);
  const dragged = useRef(false); // what was a drag is no press
  const drop = (): Target | undefined => {
    const target = held.current?.target;
    if (held.current) dragged.current = held.current.dragged;
    held.current = undefined;
    moving.over(undefined);
    return target;
  };
  const began = (event: PointerEvent) => {
    if (event.button !== 0) return;
    dragged.current = false;
    held.current = { x: event.clientX, y: event.clientY, dragged: false, target: undefined };
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
  };
  const went = (event: PointerEvent) => {
    const hold = held.current;
    if (!hold || (!hold.dragged && Math.hypot(event.clientX - hold.x, event.clientY - hold.y) < slack)) return;
    hold.dragged = true;
    if (event.clientY < edge || event.clientY > innerHeight - edge) scrollBy(0, event.clientY < edge ? -step : step);
    const target = rowAt(event);
    hold.target = target?.id === one.id ? undefined : target;
    moving.over(hold.target);
  };
  const ended = () => {
    const target = drop();
    if (target) void moving.to(one, target.side === "before" ? { before: target.id } : { after: target.id });
  };
  const pressed = (event: MouseEvent) => {
    if (event.detail > 0 && dragged.current) return; // by a key it is 0
    void moving.beside(one);
  };
  const at = items.indexOf(one), above = items[at - 1], below = items[at + 1];
  const name = `${one.elementType} ${one.number}`;
  return <div class="actions places">
    <button type="button" class="handle" aria-label={`Move ${name}`} title="Drag it to another place, or press it to enter one." onPointerDown={began} onPointerMove={went} onPointerUp={ended} onPointerCancel={drop}
      onKeyDown={(event) => { if (event.key === "Escape") drop(); }} onClick={pressed}>Move</button>
    {above && <button type="button" aria-label={`Move ${name} up`} onClick={() => moving.to(one, { before: above.id })}>&uarr;</button>}
    {below && <button type="button" aria-label={`Move ${name} down`} onClick={() => moving.to(one, { after: below.id })}>&darr;</button>}
  </div>;
};
