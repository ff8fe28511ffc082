// Which sets of synonyms and curations hold for a collection.

import type { Schemas } from "@fountainai/client";
import { ask } from "./ask.js";
import { family, me, take } from "./family.js";
import type { Field } from "./form.js";
import { Facts } from "./listing.js";
import { all, from } from "./pages.js";
import { address } from "./route.js";
import { Show, announce, useLoaded, useRound } from "./view.js";

type Held = Schemas["search"]["CollectionSets"];

const named = (kind: "synonyms" | "curations") => all((cursor) => take(family.search.GET("/sets/{kind}", { params: { path: { kind }, query: from(cursor) } })));

/** Boxes of the sets that there are, and of those that hold already. */
const choice = async (name: string, label: string, kind: "synonyms" | "curations", held: string[]): Promise<Field> => {
  const names = new Set([...held, ...(await named(kind)).map((set) => set.name)]);
  return { name, label, kind: "many", optional: true, value: held, options: [...names].sort().map((value) => ({ value, label: value })) };
};

const change = async (collection: string, { synonymSets, curationSets, version }: Held): Promise<boolean> => {
  const fields = [await choice("synonymSets", "Synonyms", "synonyms", synonymSets), await choice("curationSets", "Curations", "curations", curationSets)];
  return announce(await ask({
    title: `Synonyms and curations of ${collection}`, label: "Update", text: "They apply to every search of the collection, within half a minute.", fields,
    act: (given) => take(family.search.PUT("/collections/{collection}/sets", {
      params: { path: { collection }, header: { "If-Match": `"${version}"` } }, body: { synonymSets: given.all("synonymSets"), curationSets: given.all("curationSets") },
    })),
  }), () => `Sets of ${collection} updated.`);
};

const links = (kind: string, names: string[]) => (names.length === 0 ? "none" : names.map((name) => <div key={name}><a href={address("sets", kind, name)}>{name}</a></div>));

export const CollectionSets = ({ collection }: { collection: string }) => {
  const [round, after] = useRound();
  const sets = useLoaded(() => take(family.search.GET("/collections/{collection}/sets", { params: { path: { collection } } })), [collection, round]);
  return <section aria-label="Sets"><h2>Synonyms and curations</h2>
    <Show loaded={sets}>{(held) => <>
      <Facts facts={[["Synonyms", links("synonyms", held.synonymSets)], ["Curations", links("curations", held.curationSets)]]} />
      {me().can("collections:write") && <div class="actions"><button type="button" onClick={after(() => change(collection, held))}>Update sets</button></div>}
    </>}</Show>
  </section>;
};
