// What the services report about themselves: whether each can work and what it lacks, which versions run, the search engine, and what search has refused.

import type { Schemas } from "@fountainai/client";
import { moment, sentence } from "#page/words.js";
import { ask } from "../ask.js";
import { Engine } from "../engine.js";
import { family, me, take } from "../family.js";
import { Listing, Table } from "../listing.js";
import { from } from "../pages.js";
import { address } from "../route.js";
import { Frame, Show, announce, useLoaded, useRound, type View } from "../view.js";

type Status = Schemas["gateway"]["ServiceStatus"];
type Refusal = Schemas["gateway"]["ServiceRefusal"];
type DeadLetter = Schemas["sequence"]["DeadLetter"];

/** A service, as the gateway sees it and as it reports itself. */
interface Seen {
  name: string;
  status?: Status;
  version: string;
  /** What it lacks to work; "" where nothing. */
  lacks: string;
  refused?: Refusal | undefined;
}

/** The health and readiness operations of the services of the family; adopted services have operations of their own. */
const probes: Record<string, { health: () => Promise<{ version: string }>; ready: () => Promise<unknown> }> = {
  gateway: { health: () => take(family.gateway.GET("/gateway/v1/health")), ready: () => take(family.gateway.GET("/gateway/v1/ready")) },
  kms: { health: () => take(family.kms.GET("/health")), ready: () => take(family.kms.GET("/ready")) },
  twofactor: { health: () => take(family.twofactor.GET("/health")), ready: () => take(family.twofactor.GET("/ready")) },
  search: { health: () => take(family.search.GET("/health")), ready: () => take(family.search.GET("/ready")) },
  sequence: { health: () => take(family.sequence.GET("/health")), ready: () => take(family.sequence.GET("/ready")) },
};

const inspect = async (name: string, status?: Status): Promise<Seen> => {
  const one = probes[name], refused = status?.refused;
  const version = await one?.health().then((health) => health.version, () => "does not answer");
  const lacks = await one?.ready().then(() => "", (cause: unknown) => sentence(cause));
  return { name, ...(status && { status }), version: version ?? "", lacks: lacks ?? "", refused };
};

/** The gateway, and all services behind it. */
const services = async (): Promise<Seen[]> => {
  const { items, refused = [] } = await take(family.gateway.GET("/gateway/v1/services"));
  const seen = await Promise.all([inspect("gateway"), ...items.map((status) => inspect(status.name, status))]);
  return [...seen, ...refused.map(({ name, refused }) => ({ name, version: "", lacks: "", refused }))];
};

const causes: Record<Refusal["cause"], string> = { upstreams: "its addresses are refused", contract: "its document is refused" };

const stateOf = ({ status, lacks, refused }: Seen) => {
  const state = status?.status ?? (refused ? "not served" : lacks ? "starting" : "ready");
  return <>
    <span class={state === "ready" ? "" : "off"}>{state}</span>
    {lacks && <div class="off">{lacks}</div>}
    {refused && <div class="off">The newest contract is not in force: {causes[refused.cause]}.</div>}
  </>;
};

const Services = ({ items }: { items: Seen[] }) => <Table label="Services" items={items} id={({ name }) => name} columns={[
  { head: "Service", cell: ({ name, status }) => (status?.adopted ? <a href={address("adopted", name)}>{name}</a> : name) },
  { head: "State", cell: stateOf },
  { head: "Instances", cell: ({ status }) => status && `${status.targetsReady} of ${status.targets} ready` },
  { head: "Version", cell: ({ version }) => version },
  { head: "Contract", cell: ({ status }) => status && <>{status.contractVersion}{status.targetsSkewed > 0 && <div class="off">{status.targetsSkewed} instances have another version</div>}</> },
]} />;

const refOf = ({ scope, elementType, elementId }: DeadLetter) => ({ scope, elementType, elementId });

const retry = async (one?: DeadLetter): Promise<boolean> => announce(await ask({
  title: "Send to search again?", label: "Retry", text: `${one ? `${one.elementType} ${one.elementId} of ${one.scope} is` : "All of them, 10,000 at a time, are"} sent to the search service again. Elements that are refused again return to this list.`,
  act: () => take(family.sequence.POST("/dead-letters/retry", { body: one ? { elements: [refOf(one)] } : {} })),
}), ({ retried, remaining }) => `${retried} sent again, ${remaining} left.`);

const DeadLetters = ({ round, after }: { round: number; after: (act: () => Promise<boolean>) => () => Promise<void> }) => {
  const may = me().can("elements:write");
  return <section aria-label="Dead letters"><h2>Elements that search has refused</h2>
    {may && <div class="actions"><button type="button" onClick={after(() => retry())}>Retry all</button></div>}
    <Listing<DeadLetter> label="Dead letters" of={round} id={(one) => Object.values(refOf(one)).join("/")} none="None: every element can be found, or is waiting to be indexed."
      load={(cursor) => take(family.sequence.GET("/dead-letters", { params: { query: from(cursor) } }))}
      columns={[
        { head: "Element", cell: ({ scope, elementType, elementId }) => <a href={address("sequence", scope, elementType, elementId)}>{`${scope}: ${elementType} ${elementId}`}</a> },
        { head: "Reason", cell: ({ reason }) => <code>{reason}</code> }, { head: "Attempts", cell: ({ attempts }) => attempts }, { head: "Refused", cell: ({ failedAt }) => moment(failedAt) },
        { head: "Actions", cell: (one) => may && <button type="button" aria-label={`Retry ${one.elementType} ${one.elementId} of ${one.scope}`} onClick={after(() => retry(one))}>Retry</button> },
      ]} />
  </section>;
};

const Health = () => {
  const [round, after] = useRound();
  const seen = useLoaded(services, [round]);
  return <Frame title="Health">
    <p>What the services report at this moment. Files, clocks, disks, keys and backups are checked by commands on the machine{me().can("upkeep:read") ? <>: <a href={address("upkeep")}>what they found</a></> : ""}.</p>
    <div class="actions"><button type="button" onClick={after(async () => true)}>Refresh</button></div>
    <section aria-label="Services"><h2>Services</h2><Show loaded={seen}>{(items) => <Services items={items} />}</Show></section>
    {me().can("collections:read") && <Engine round={round} />}
    {me().can("elements:read") && <DeadLetters round={round} after={after} />}
  </Frame>;
};

export const health: View = { route: "health", title: "Health", allowed: (person) => person.can("services:read"), Shown: Health };
