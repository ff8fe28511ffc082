// The search engine, as the instance of the search service that answers finds it: which it is, its nodes, the key, what it takes and what not.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { family, take } from "./family.js";
import { Facts, Table } from "./listing.js";
import { Show, useLoaded } from "./view.js";

type Told = Schemas["search"]["Engine"];
type Node = Schemas["search"]["EngineNode"];

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

/** The bounds that are known: an engine elsewhere has its own, which it does not tell. */
const bounds = ({ syncItems, searches, documents, documentsPerCollection, collections, documentBytes, memoryBytes }: Told["limits"]) => ([
  ["Items of a sync", syncItems], ["Searches at once", searches], ["Documents at the most", documents], ["Documents of a collection at the most", documentsPerCollection],
  ["Collections at the most", collections], ["One document at the most", documentBytes && mebibytes(documentBytes)], ["Indexes in memory at the most", memoryBytes && mebibytes(memoryBytes)],
] as [string, string | number | undefined][]).filter((bound): bound is [string, string | number] => bound[1] !== undefined);

const Nodes = ({ nodes }: { nodes: Node[] }) => <Table label="Nodes" items={nodes} id={({ address }) => address} columns={[
  { head: "Node", cell: ({ address }) => <code>{address}</code> },
  { head: "State", cell: ({ healthy }) => <span class={healthy ? "" : "off"}>{healthy ? "healthy" : "away"}</span> },
  { head: "Since", cell: ({ since }) => moment(since) },
]} />;

const Known = ({ of: { mode, version, keyVersion, unsupported, limits, nodes } }: { of: Told }) => <>
  <Facts facts={[
    ["Engine", mode === "embedded" ? `in the search service, as Typesense ${version}` : `Typesense ${version}`], ...(keyVersion ? [["Key", `version ${keyVersion} of search.typesense`] as [string, string]] : []),
    ...bounds(limits),
  ]} />
  {nodes && <Nodes nodes={nodes} />}
  {unsupported.length > 0 && <details><summary>Not supported: {unsupported.length}</summary><ul>{unsupported.map((one) => <li key={one}><code>{one}</code></li>)}</ul></details>}
</>;

/** What is known of the engine; it is asked again in each round. */
export const Engine = ({ round }: { round: number }) => {
  const engine = useLoaded(() => take(family.search.GET("/engine")), [round]);
  return <section aria-label="Search engine"><h2>Search engine</h2><Show loaded={engine}>{(told) => <Known of={told} />}</Show></section>;
};
