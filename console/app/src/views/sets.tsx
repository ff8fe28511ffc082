// Sets of synonyms, curations and stopwords, and presets of searches: what the search service gives the engine beside documents.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import { json, type Field, type Given } from "../form.js";
import { Facts, Listing } from "../listing.js";
import { from } from "../pages.js";
import { address, go } from "../route.js";
import { Frame, Show, announce, useLoaded, useRound, type View } from "../view.js";

type SearchSet = Schemas["search"]["SearchSet"];
type Kind = SearchSet["kind"];
type Body = Schemas["search"]["SearchSetPut"];

/** A kind: what it is called, what it does, the member of a set that contains it, and an example. */
interface About {
  title: string;
  does: string;
  member: "synonyms" | "curations" | "stopwords" | "preset";
  example: unknown;
}

const kinds: Record<Kind, About> = {
  synonyms: { title: "Synonyms", does: "Words that mean the same in a search. With a root, the other words are found when the root is searched, not the other way round.", member: "synonyms", example: [{ words: ["play", "drama"] }] },
  curations: { title: "Curations", does: "Documents that a query shows first, or hides.", member: "curations", example: [{ query: "hamlet", match: "exact", pinned: [{ id: "hamlet", position: 1 }] }] },
  stopwords: { title: "Stopwords", does: "Words that are left out of searches which name the set.", member: "stopwords", example: ["the", "of"] },
  presets: { title: "Presets", does: "Parameters of searches that name the preset, where a search does not set them itself.", member: "preset", example: { queryBy: ["title"], perPage: 20 } },
};

const kindOf = (name: string | undefined): Kind | undefined => (Object.keys(kinds) as Kind[]).find((kind) => kind === name);

const engineStates: Record<NonNullable<SearchSet["engine"]>["state"], string> = { applied: "has this version", pending: "does not have this version yet", failed: "has refused this version" };

/** The state of a set in the search engine; presets are not sent there. */
const AtEngine = ({ of: { engine } }: { of: SearchSet }) => (engine
  ? <><span class={engine.state === "applied" ? "" : "off"}>{engineStates[engine.state]}</span>{engine.message && <div class="off">{engine.message}</div>}</>
  : <>does not use it</>);

const contentOf = (set: SearchSet): unknown => set[kinds[set.kind].member];

const fields = (kind: Kind, set?: SearchSet): Field[] => [
  { name: kinds[kind].member, label: "Content", kind: "area", maxLength: 524288, hint: `JSON. ${kinds[kind].does}`, value: JSON.stringify(set ? contentOf(set) : kinds[kind].example, null, 2) },
  { name: "readers", label: "Readers", kind: "area", optional: true, maxLength: 9600, hint: "One per line, for example tenant:rose or role:reader: who may use it besides its owner.", value: set?.readers?.join("\n") ?? "" },
];

const bodyOf = (kind: Kind, given: Given): Body => ({ [kinds[kind].member]: json(given, kinds[kind].member), readers: given.words("readers") });

const put = (kind: Kind, set: string, body: Body, header: { "If-Match": string } | { "If-None-Match": string }) => take(family.search.PUT("/sets/{kind}/{set}", { params: { path: { kind, set }, header }, body }));

const create = (kind: Kind) => async (): Promise<boolean> => {
  const made = await ask({
    title: `Create ${kinds[kind].title.toLowerCase()}`, label: "Create set", fields: [{ name: "name", label: "Name", hint: "Lowercase letters, digits, hyphens and underscores.", maxLength: 127 }, ...fields(kind)],
    act: (given) => put(kind, given.text("name"), bodyOf(kind, given), { "If-None-Match": "*" }),
  });
  if (made) go("sets", kind, made.value.name);
  return announce(made, ({ name }) => `Set ${name} created.`);
};

const replace = async (set: SearchSet): Promise<boolean> => announce(await ask({
  title: `Replace ${set.name}`, label: "Replace", text: "It applies to searches within half a minute.", fields: fields(set.kind, set),
  act: (given) => put(set.kind, set.name, bodyOf(set.kind, given), { "If-Match": `"${set.version}"` }),
}), ({ name, version }) => `Set ${name} replaced: version ${version}.`);

const remove = async ({ kind, name }: SearchSet): Promise<boolean> => {
  const done = await ask({
    title: `Delete ${name}?`, label: "Delete", text: "It no longer applies to any collection or search. This can't be undone.",
    act: () => take(family.search.DELETE("/sets/{kind}/{set}", { params: { path: { kind, set: name } } })),
  });
  if (done) go("sets");
  return announce(done, () => `Set ${name} deleted.`);
};

const Sets = () => {
  const [round, after] = useRound();
  return <Frame title="Search sets"><div class="actions"><button type="button" onClick={after(async () => true)}>Refresh</button></div>{(Object.keys(kinds) as Kind[]).map((kind) => <section key={kind} aria-label={kinds[kind].title}><h2>{kinds[kind].title}</h2>
    <p>{kinds[kind].does}</p>
    {me().can("collections:write") && <div class="actions"><button type="button" onClick={after(create(kind))}>Create {kinds[kind].title.toLowerCase()}</button></div>}
    <Listing<SearchSet> label={kinds[kind].title} of={round} id={({ name }) => name} none="None." load={(cursor) => take(family.search.GET("/sets/{kind}", { params: { path: { kind }, query: from(cursor) } }))}
      columns={[
        { head: "Name", cell: ({ name }) => <a href={address("sets", kind, name)}>{name}</a> }, { head: "Version", cell: ({ version }) => version },
        { head: "Search engine", cell: (set) => <AtEngine of={set} /> }, { head: "Owner", cell: ({ owner }) => owner }, { head: "Changed", cell: ({ changedAt }) => moment(changedAt) },
      ]} />
  </section>)}</Frame>;
};

const One = ({ kind, name }: { kind: Kind; name: string }) => {
  const [round, after] = useRound();
  const set = useLoaded(() => take(family.search.GET("/sets/{kind}/{set}", { params: { path: { kind, set: name } } })), [kind, name, round]);
  return <Frame title={name}><Show loaded={set}>{(one) => <>
    <Facts facts={[["Kind", kinds[kind].title], ["Owner", one.owner], ["Version", one.version], ["Search engine", <AtEngine of={one} />], ["Changed", moment(one.changedAt)], ...(one.readers ? [["Readers", one.readers.join(", ") || "none"] as [string, string]] : [])]} />
    <div class="actions">
      <button type="button" onClick={after(async () => true)}>Refresh</button>
      {one.access === "own" && me().can("collections:write") && <><button type="button" onClick={after(() => replace(one))}>Replace</button><button type="button" onClick={after(() => remove(one))}>Delete</button></>}
    </div>
    <pre tabIndex={0}>{JSON.stringify(contentOf(one), null, 2)}</pre>
  </>}</Show></Frame>;
};

export const sets: View = {
  route: "sets", title: "Search sets", allowed: (person) => person.can("collections:read"),
  Shown: ({ of: [kind, name] }) => { const known = kindOf(kind); return known && name ? <One kind={known} name={name} /> : <Sets />; },
};
