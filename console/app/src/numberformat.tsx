// How the numbers of a type are written, beside the number that gives its elements their order.

import type { Schemas } from "@fountainai/client";
import { Problem } from "#page/problem.js";
import { ask } from "./ask.js";
import { family, me, take } from "./family.js";
import { Facts } from "./listing.js";
import { Show, told, useLoaded, useRound } from "./view.js";

type Format = Schemas["sequence"]["NumberFormat"];
type Resets = Format["resets"];

interface Type {
  scope: string;
  elementType: string;
}

/** Returns the format of a type; null where its numbers are written as they are. */
const load = async (path: Type): Promise<Format | null> => {
  try {
    return await take(family.sequence.GET("/scopes/{scope}/{elementType}/number-format", { params: { path } }));
  } catch (cause) {
    if (cause instanceof Problem && cause.code === "not_found") return null;
    throw cause;
  }
};

const resets: Record<Resets, string> = { never: "never", year: "each year", month: "each month", day: "each day" };

const set = async (path: Type, format: Format | null): Promise<boolean> => told(await ask({
  title: `Number format of ${path.elementType}`, label: "Set format",
  text: "Each new element gets a formatted number for good, in its own gap-free row. Elements from before get none. Once it has given a number, the format can't be changed.",
  fields: [
    { name: "prefix", label: "Prefix", optional: true, maxLength: 32, hint: "For example INV-", value: format?.prefix ?? "" },
    { name: "padding", label: "Digits at the least", kind: "number", value: String(format?.padding ?? 5), hint: "Filled up with zeros, 18 at the most." },
    { name: "resets", label: "Begins at 1 again", kind: "choice", value: format?.resets ?? "year", options: (Object.keys(resets) as Resets[]).map((value) => ({ value, label: resets[value] })) },
    { name: "timeZone", label: "Time zone", maxLength: 64, hint: "Of the periods, for example Europe/Berlin.", value: format?.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone },
  ],
  act: (given) => take(family.sequence.PUT("/scopes/{scope}/{elementType}/number-format", {
    params: { path }, body: { prefix: given.text("prefix"), padding: Number(given.text("padding")), resets: given.text("resets") as Resets, timeZone: given.text("timeZone") },
  })),
}), ({ next }) => `Number format set; the next number is ${next}.`);

/** The format of a type's numbers, and how to set it; of changes when elements were created. */
export const NumberFormat = ({ scope, elementType, of }: Type & { of: number }) => {
  const [round, after] = useRound();
  const format = useLoaded(() => load({ scope, elementType }), [scope, elementType, of, round]);
  return <section aria-label="Number format"><h2>Number format</h2><Show loaded={format}>{(known) => <>
    {known ? <Facts facts={[["Prefix", known.prefix ? <code>{known.prefix}</code> : "none"], ["Digits at the least", known.padding], ["Begins at 1 again", resets[known.resets]], ["Time zone", known.timeZone],
      ["Next number", <code>{known.next}</code>]]} /> : <p>Its elements have their place as a number, and no formatted one.</p>}
    {me().can("elements:write") && <div class="actions"><button type="button" onClick={after(() => set({ scope, elementType }, known))}>{known ? "Update number format" : "Set number format"}</button></div>}
  </>}</Show></section>;
};
