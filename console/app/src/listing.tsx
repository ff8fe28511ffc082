// A table of what an operation lists, page by page.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";

import { say } from "#page/screen.js";
import { Trouble } from "./trouble.js";

export interface Page<T> {
  items: T[];
  nextCursor?: string;
}

export interface Column<T> {
  head: string;
  /** The content of the cell; items are the rows that are shown. */
  cell: (item: T, items: T[]) => ComponentChildren;
}

interface Listed<T> {
  /** The name of the table, for screen readers. */
  label: string;
  load: (cursor: string | undefined) => Promise<Page<T>>;
  columns: Column<T>[];
  id: (item: T) => string;
  /** What is shown when there is nothing. */
  none: string;
  /** When it changes, the table is loaded again. */
  of?: unknown;
  /** The class of a row. */
  mark?: (item: T) => string | undefined;
  /** The element that gets the focus if the focused one has disappeared, instead of the view's heading. */
  regain?: () => HTMLElement | null;
}

/** Gives the focus to the view's heading if the focused element has disappeared, such as the button of a row that has changed. */
const keepFocus = (regain?: () => HTMLElement | null) => {
  if (document.activeElement === document.body) (regain?.() ?? document.querySelector<HTMLElement>("#views h1"))?.focus({ preventScroll: true });
};

export const Listing = <T,>({ label, load, columns, id, none, of, mark, regain }: Listed<T>) => {
  const [state, set] = useState<{ items?: T[]; next?: string | undefined; problem?: unknown }>({});
  const [again, setAgain] = useState(0);
  useEffect(() => {
    let left = false;
    load(undefined).then((page) => { if (!left) set({ items: page.items, next: page.nextCursor }); }, (problem: unknown) => { if (!left) set({ problem }); });
    return () => { left = true; };
  }, [of, again]);
  useLayoutEffect(() => keepFocus(regain), [state.items]);
  const more = async () => {
    try {
      const page = await load(state.next);
      set({ items: [...(state.items ?? []), ...page.items], next: page.nextCursor });
      say(`${page.items.length} more.`);
    } catch (problem) {
      set({ ...state, problem });
    }
  };
  const { items, next, problem } = state;
  if (problem !== undefined) {
    return <><Trouble problem={problem} /><div class="actions"><button type="button" onClick={() => { set({}); setAgain(again + 1); }}>Try again</button></div></>;
  }
  if (!items) return <p class="hint">Loading ...</p>;
  if (items.length === 0 && !next) return <p>{none}</p>;
  return <>
    {items.length === 0 ? <p>Nothing found so far; there are more pages.</p> : <Table label={label} columns={columns} items={items} id={id} {...(mark && { mark })} />}
    {next && <div class="actions"><button type="button" onClick={more}>Show more</button></div>}
  </>;
};

/** A table. On narrow screens each row is a card; the roles keep the semantics that the style removes. */
export const Table = <T,>({ label, columns, items, id, mark }: { label: string; columns: Column<T>[]; items: T[]; id: (item: T) => string; mark?: (item: T) => string | undefined }) =>
  <table role="table" aria-label={label}>
    <thead role="rowgroup"><tr role="row">{columns.map(({ head }) => <th key={head} role="columnheader" scope="col">{head}</th>)}</tr></thead>
    <tbody role="rowgroup">{items.map((item) => <tr key={id(item)} role="row" data-id={id(item)} class={mark?.(item)}>
      {columns.map(({ head, cell }) => <td key={head} role="cell"><span class="head" aria-hidden="true">{head}</span><div>{cell(item, items)}</div></td>)}
    </tr>)}</tbody>
  </table>;

/** Facts about one thing. */
export const Facts = ({ facts }: { facts: [string, ComponentChildren][] }) =>
  <dl>{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
