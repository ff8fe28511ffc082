// Services of others that were adopted by their documents, and what their contracts require of callers.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import { Facts, Listing, Table } from "../listing.js";
import { from } from "../pages.js";
import { policyOf } from "../policy.js";
import { address, go } from "../route.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

type Contract = Schemas["kms"]["Contract"];

const Adopted = () => {
  const states = useLoaded(async () => new Map((await take(family.gateway.GET("/gateway/v1/services"))).items.map(({ name, status }) => [name, status])));
  return <Frame title="Adopted services">
    <Listing<Contract> label="Adopted services" id={({ name }) => name} none="No adopted services. docs/adopt.md describes how to adopt one."
      load={(cursor) => take(family.kms.GET("/contracts", { params: { query: from(cursor) } }))}
      columns={[
        { head: "Name", cell: ({ name }) => <a href={address("adopted", name)}>{name}</a> },
        { head: "State", cell: ({ name, status }) => (status === "disabled" ? <span class="off">disabled</span> : states.value?.get(name) ?? "not served") },
        { head: "Version", cell: ({ documentVersion, version }) => `${documentVersion} (revision ${version})` },
        { head: "Warnings", cell: ({ warningCount }) => warningCount },
      ]} />
  </Frame>;
};

const retire = async (name: string) => {
  const done = await ask({
    title: `Retire ${name}?`, label: "Retire", text: "The gateways stop serving it. The service and its API keys remain; its contract is deleted, and must be adopted again.",
    act: () => take(family.kms.DELETE("/contracts/{contractName}", { params: { path: { contractName: name } } })),
  });
  if (!done) return;
  go("adopted");
  say(`${name} retired.`);
};

const One = ({ name }: { name: string }) => {
  const contract = useLoaded(async () => (await take(family.kms.GET("/contracts/{contractName}", { params: { path: { contractName: name } } }))).contract, [name]);
  const policy = useLoaded(() => policyOf(name), [name]);
  return <Frame title={name}>
    <Show loaded={contract}>{(one) => <>
      <Facts facts={[["State", one.status], ["Document", `${one.documentVersion} (revision ${one.version})`], ["Upstreams", one.upstreams.join(", ")], ["Public operations", one.public.join(", ") || "none"],
        ["Active content", one.activeContent ? "allowed" : "refused"], ["Updated", `${moment(one.updatedAt)} by ${one.updatedBy}`],
        ...(one.shadow ? [["Shadow", `${one.shadow.documentVersion}: ${one.shadow.changeCount} changes to accept`] as [string, string]] : [])]} />
      <div class="actions"><a href={`/docs?contract=${name}`}>API documentation</a>{me().can("services:write") && <button type="button" onClick={() => retire(name)}>Retire</button>}</div>
      {one.warnings && one.warnings.length > 0 && <section aria-label="Warnings"><h2>Warnings</h2><Table label="Warnings" items={one.warnings} id={({ at, message }) => at + message} columns={[
        { head: "Location", cell: ({ at }) => <code>{at}</code> }, { head: "Warning", cell: ({ message }) => message }, { head: "Advice", cell: ({ hint }) => hint },
      ]} /></section>}
    </>}</Show>
    <section aria-label="Policy"><h2>Policy</h2><Show loaded={policy}>{({ operations }) => <Table label="Policy" items={operations} id={({ at }) => at} columns={[
      { head: "Operation", cell: ({ id, at }) => <>{id}<br /><code>{at}</code></> },
      { head: "Scopes", cell: ({ scopes }) => scopes || "none" },
      { head: "Roles", cell: ({ roles }) => roles || "any" },
      { head: "Second factor", cell: ({ secondFactor }) => secondFactor || "no" },
    ]} />}</Show></section>
  </Frame>;
};

export const adopted: View = {
  route: "adopted", title: "Adopted services", allowed: (person) => person.can("contracts:read"), Shown: ({ of: [name] }) => (name ? <One name={name} /> : <Adopted />),
};
