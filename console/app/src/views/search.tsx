// Collections of documents, and searching them.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { useState } from "preact/hooks";
import { say } from "#page/screen.js";
import { ask } from "../ask.js";
import { CollectionSets } from "../collectionsets.js";
import { addressOf, Document } from "../document.js";
import { family, me, take } from "../family.js";
import { Form, json } from "../form.js";
import { Grants } from "../grants.js";
import { Jobs } from "../jobs.js";
import { indented, textsAt } from "../jsontext.js";
import { Facts, Listing } from "../listing.js";
import { from } from "../pages.js";
import { address, go } from "../route.js";
import { createSearchKey } from "../searchkey.js";
import { Trouble } from "../trouble.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

type Collection = Schemas["search"]["Collection"];
type Result = Schemas["search"]["DocumentSearchResult"];
type Reindex = Schemas["search"]["Reindex"];

const create = async () => {
  const made = await ask({
    title: "Create collection", label: "Create collection",
    fields: [
      { name: "name", label: "Name", hint: "Lowercase letters, digits, hyphens and underscores.", maxLength: 63 },
      { name: "fields", label: "Fields", kind: "area", maxLength: 32768, value: JSON.stringify([{ name: "text", type: "string" }], null, 2),
        hint: "A JSON array of {name, type, facet, optional, index, sort}. Types: string, int32, int64, float, bool, each also as [], and auto." },
      { name: "defaultSortingField", label: "Default sorting field", optional: true, maxLength: 128 },
      { name: "keeps", label: "Documents", kind: "many", optional: true, hint: "This can't be changed later.", options: [
        { value: "versioned", label: "have versions, so that a change can require one" }, { value: "tenantScoped", label: "belong to tenants; each tenant reaches only its own" },
      ] },
    ],
    act: (given) => {
      const fields = json(given, "fields") as Collection["fields"], defaultSortingField = given.text("defaultSortingField"), keeps = given.all("keeps");
      return take(family.search.POST("/collections", { body: {
        name: given.text("name"), fields, ...(defaultSortingField && { defaultSortingField }), versioned: keeps.includes("versioned"), tenantScoped: keeps.includes("tenantScoped"),
      } }));
    },
  });
  if (!made) return;
  go("search", made.value.name);
  say(`Collection ${made.value.name} created.`);
};

const remove = async (name: string) => {
  const done = await ask({
    title: `Delete ${name}?`, label: "Delete", text: "Its documents are deleted with it. This can't be undone.",
    act: () => take(family.search.DELETE("/collections/{collection}", { params: { path: { collection: name } } })),
  });
  if (!done) return;
  go("search");
  say(`Collection ${name} deleted.`);
};

const Collections = () => <Frame title="Search">
  {me().can("collections:write") && <div class="actions"><button type="button" onClick={create}>Create collection</button></div>}
  <Listing<Collection> label="Collections" id={({ name }) => name} none="No collections." load={(cursor) => take(family.search.GET("/collections", { params: { query: from(cursor) } }))}
    columns={[
      { head: "Name", cell: ({ name }) => <a href={address("search", name)}>{name}</a> },
      { head: "Documents", cell: ({ documents }) => documents },
      { head: "Fields", cell: ({ fields }) => fields.map(({ name }) => name).join(", ") },
      { head: "Created", cell: ({ createdAt }) => moment(createdAt) },
    ]} />
</Frame>;

const perPage = 10;
const maxFields = 16; // of one query

const One = ({ name }: { name: string }) => {
  const collection = useLoaded(() => take(family.search.GET("/collections/{collection}", { params: { path: { collection: name } } })), [name]);
  return <Frame title={name}>
    <Show loaded={collection}>{(one) => <>
      <Facts facts={[["Owner", one.owner], ["Your access", one.access], ["Tenants", one.tenantScoped ? "each reaches only its own documents" : "not separated"], ["Versions of documents", one.versioned ? "kept" : "not kept"], ["Documents", one.documents], ["Fields", one.fields.map((field) => `${field.name} (${field.type})`).join(", ")]]} />
      <div class="actions">
        {me().can("documents:search") && <button type="button" onClick={() => createSearchKey(name)}>Create search key</button>}
        {one.access === "own" && me().can("collections:write") && <button type="button" onClick={() => remove(name)}>Delete</button>}
      </div>
      <Query collection={one} />
      {one.access !== "read" && me().can("documents:write") && <Jobs collection={name} />}
      {one.access === "own" && <><CollectionSets collection={name} /><Grants collection={name} /><Reindexes collection={name} /></>}
    </>}</Show>
  </Frame>;
};

const announceState = (collection: string, done?: { value: Reindex }) => { if (done) say(`Reindex of ${collection}: ${done.value.state}.`); };

const abort = async (collection: string, { id }: Reindex) => announceState(collection, await ask({
  title: "Abort the reindex?", label: "Abort", text: "The new collection is deleted; the one in use stays.",
  act: () => take(family.search.POST("/collections/{collection}/reindexes/{reindexId}/abort", { params: { path: { collection, reindexId: id } } })),
}));

const rollBack = async (collection: string, { id }: Reindex) => announceState(collection, await ask({
  title: "Roll the reindex back?", label: "Roll back", text: "The previous collection takes its place again, with what was written since.",
  act: () => take(family.search.POST("/collections/{collection}/reindexes/{reindexId}/rollback", { params: { path: { collection, reindexId: id } } })),
}));

const start = async (collection: string) => {
  const begun = await ask({
    title: `Reindex ${collection}?`, label: "Start reindex", text: "Its documents are copied into a new collection with the wanted schema, which then replaces it. Searches and writes continue.",
    act: () => take(family.search.POST("/collections/{collection}/reindexes", { params: { path: { collection } }, body: {} })),
  });
  if (begun) say(`Reindex of ${collection} started.`);
};

const underWay = ["created", "copying", "verifying", "swapping"];

const Reindexes = ({ collection }: { collection: string }) => {
  const [turn, setTurn] = useState(0);
  const after = (done: Promise<void>) => done.then(() => setTurn((n) => n + 1));
  const schema = useLoaded(() => take(family.search.GET("/collections/{collection}/schema", { params: { path: { collection } } })), [collection, turn]);
  return <section aria-label="Reindexes"><h2>Reindexes</h2>
    <Show loaded={schema}>{({ remedy, changes }) => <p>{remedy === "none" ? "The schema matches the wanted one." : `The schema differs from the wanted one in ${changes.map(({ field }) => field).join(", ")}.`}</p>}</Show>
    <div class="actions">
      {me().can("collections:write") && <button type="button" onClick={() => after(start(collection))}>Start reindex</button>}
      <button type="button" onClick={() => setTurn((n) => n + 1)}>Refresh</button>
    </div>
    <Listing<Reindex> key={turn} label="Reindexes" id={({ id }) => id} none="No reindexes."
      load={(cursor) => take(family.search.GET("/collections/{collection}/reindexes", { params: { path: { collection }, query: from(cursor) } }))}
      columns={[
        { head: "Started", cell: ({ startedAt }) => moment(startedAt) },
        { head: "State", cell: ({ state, failure }) => (failure ? `${state}: ${failure.message}` : state) },
        { head: "Copied", cell: ({ copied, documents }) => `${copied} of ${documents}` },
        { head: "Kept until", cell: ({ oldKeptUntil }) => oldKeptUntil && moment(oldKeptUntil) },
        { head: "", cell: (one) => <>
          {underWay.includes(one.state) && <button type="button" onClick={() => after(abort(collection, one))}>Abort</button>}
          {one.oldKeptUntil && <button type="button" onClick={() => after(rollBack(collection, one))}>Roll back</button>}
        </> },
      ]} />
  </section>;
};

const Query = ({ collection: { name, fields, tenantScoped } }: { collection: Collection }) => {
  const [found, setFound] = useState<Pick<Hits, "result" | "texts" | "ask">>();
  const searchable = fields.filter(({ name, type, index }) => type.startsWith("string") && index !== false && !name.includes("*")).map((field) => field.name); // a pattern is not a field
  const search = (q: string, queryBy: string[], filterBy: string) => {
    const ask = async (page: number): Promise<void> => {
      const body = { q, queryBy, page, perPage, ...(filterBy && { filterBy }) };
      const text = String(await take(family.search.POST("/collections/{collection}/search", { params: { path: { collection: name } }, body, parseAs: "text" })));
      setFound({ result: JSON.parse(text) as Result, texts: textsAt(text, "hits", "document"), ask });
    };
    return ask(1);
  };
  return <section aria-label="Query"><h2>Query</h2>
    <Form label="Search" fields={[
      { name: "q", label: "Query", hint: "* matches all documents.", maxLength: 512 },
      { name: "queryBy", label: "Fields", kind: "many", value: searchable.slice(0, maxFields), options: searchable.map((value) => ({ value, label: value })) },
      { name: "filterBy", label: "Filter", optional: true, maxLength: 4096, hint: "In the engine's filter syntax, for example year:>1900." },
    ]} act={(given) => search(given.text("q"), given.all("queryBy"), given.text("filterBy"))} />
    {found && <Found {...found} collection={name} tenantScoped={tenantScoped} />}
  </section>;
};

/** A link to a document's own view. If the person can read the documents of every tenant, a result says which tenant its document belongs to. */
const Link = ({ document, collection, tenantScoped }: { document: Result["hits"][number]["document"]; collection: string; tenantScoped: boolean }) => {
  const { id, tenant } = document;
  return typeof id === "string" ? <a href={addressOf({ collection, id, tenant: tenantScoped && typeof tenant === "string" ? tenant : undefined })}>{id}</a> : null;
};

interface Hits {
  result: Result;
  /** The documents as they were sent: numbers have all of their digits. */
  texts: string[];
  ask: (page: number) => Promise<void>;
  collection: string;
  tenantScoped: boolean;
}

const Found = ({ result, texts, ask, ...of }: Hits) => {
  const [problem, setProblem] = useState<unknown>();
  const turn = (page: number) => ask(page).then(() => setProblem(undefined), setProblem);
  return <>
    <p role="status">{result.found} of {result.outOf} documents, page {result.page}</p>
    <ol start={(result.page - 1) * perPage + 1}>{result.hits.map(({ document }, at) => <li key={at}><Link document={document} {...of} /><pre tabIndex={0}>{indented(texts[at] ?? "")}</pre></li>)}</ol>
    <div class="actions">
      {result.page > 1 && <button type="button" onClick={() => turn(result.page - 1)}>Previous page</button>}
      {result.page * perPage < result.found && <button type="button" onClick={() => turn(result.page + 1)}>Next page</button>}
    </div>
    {problem !== undefined && <Trouble problem={problem} />}
  </>;
};

export const search: View = { route: "search", title: "Search", allowed: (person) => person.can("collections:read"), Shown: ({ of: [name, id, tenant] }) => (!name ? <Collections /> : id ? <Document key={`${id}/${tenant ?? ""}`} collection={name} id={id} tenant={tenant} /> : <One name={name} />) };
