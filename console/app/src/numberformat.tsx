// How the numbers of a type are written, beside the number that gives its elements their order.

import type { Schemas } from "@fountainai/client";
import { Problem } from "#page/problem.js";
import { ask } from "./ask.js";
import { family, me, take } from "./family.js";
import { Facts } from "./listing.js";
import { Show, announce, useLoaded, useRound } from "./view.js";

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

const set = async (path: Type, format: Format | null): Promise<boolean> => announce(await ask({
  title: `Number format of ${path.elementType}`, label: "Set format",
  text: "Each new element gets a permanent formatted number, from its own sequence without gaps. Existing elements get none. Once a number is assigned, the format can't be changed.",
  fields: [
    { name: "prefix", label: "Prefix", optional: true, maxLength: 32, hint: "For example INV-", value: format?.prefix ?? "" },
    { name: "padding", label: "Minimum number of digits", kind: "number", value: String(format?.padding ?? 5), hint: "Padded with zeros. At most 18." },
    { name: "resets", label: "Restarts at 1", kind: "choice", value: format?.resets ?? "year", options: (Object.keys(resets) as Resets[]).map((value) => ({ value, label: resets[value] })) },
    { name: "timeZone", label: "Time zone", maxLength: 64, hint: "For the periods, for example Europe/Berlin.", value: format?.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone },
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
      ["Next number", <code>{known.next}</code>]]} /> : <p>Its elements have no formatted number, only their number in the order.</p>}
    {me().can("elements:write") && <div class="actions"><button type="button" onClick={after(() => set({ scope, elementType }, known))}>{known ? "Update number format" : "Set number format"}</button></div>}
  </>}</Show></section>;
};
