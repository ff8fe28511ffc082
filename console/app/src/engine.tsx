// The search engine, as reported by the instance of the search service that answers: its kind, nodes and key, and what it supports.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { family, take } from "./family.js";
import { Facts, Table } from "./listing.js";
import { Show, useLoaded } from "./view.js";

type EngineInfo = Schemas["search"]["Engine"];
type Node = Schemas["search"]["EngineNode"];

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

/** The bounds that are known: an engine elsewhere has its own, which it does not report. */
const bounds = ({ syncItems, searches, documents, documentsPerCollection, collections, documentBytes, memoryBytes }: EngineInfo["limits"]) => ([
  ["Maximum items of a sync", syncItems], ["Maximum concurrent searches", searches], ["Maximum documents", documents], ["Maximum documents of a collection", documentsPerCollection],
  ["Maximum collections", collections], ["Maximum size of a document", documentBytes && mebibytes(documentBytes)], ["Maximum size of indexes in memory", memoryBytes && mebibytes(memoryBytes)],
] as [string, string | number | undefined][]).filter((bound): bound is [string, string | number] => bound[1] !== undefined);

const Nodes = ({ nodes }: { nodes: Node[] }) => <Table label="Nodes" items={nodes} id={({ address }) => address} columns={[
  { head: "Node", cell: ({ address }) => <code>{address}</code> },
  { head: "State", cell: ({ healthy }) => <span class={healthy ? "" : "off"}>{healthy ? "healthy" : "unreachable"}</span> },
  { head: "Since", cell: ({ since }) => moment(since) },
]} />;

const Known = ({ of: { mode, version, keyVersion, unsupported, limits, nodes } }: { of: EngineInfo }) => <>
  <Facts facts={[
    ["Engine", mode === "embedded" ? `in the search service, as Typesense ${version}` : `Typesense ${version}`], ...(keyVersion ? [["Key", `version ${keyVersion} of search.typesense`] as [string, string]] : []),
    ...bounds(limits),
  ]} />
  {nodes && <Nodes nodes={nodes} />}
  {unsupported.length > 0 && <details><summary>Not supported: {unsupported.length}</summary><ul>{unsupported.map((one) => <li key={one}><code>{one}</code></li>)}</ul></details>}
</>;

/** The state of the engine; it is read again in each round. */
export const Engine = ({ round }: { round: number }) => {
  const engine = useLoaded(() => take(family.search.GET("/engine")), [round]);
  return <section aria-label="Search engine"><h2>Search engine</h2><Show loaded={engine}>{(found) => <Known of={found} />}</Show></section>;
};
