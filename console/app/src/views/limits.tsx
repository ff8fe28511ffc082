// The limits that the contracts of the family and of adopted services say.

import { Facts, Table } from "../listing.js";
import { policyOf, rateText } from "../policy.js";
import { address } from "../route.js";
import { family, take } from "../family.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

const Limits = () => {
  const services = useLoaded(async () => ["gateway", ...(await take(family.gateway.GET("/gateway/v1/services"))).items.map(({ name }) => name)]);
  return <Frame title="Limits">
    <p>Rate limits of each service, from its contract. Responses contain the remaining quota (<code>RateLimit</code>).</p>
    <Show loaded={services}>{(names) => <ul>{names.map((name) => <li key={name}><a href={address("limits", name)}>{name}</a></li>)}</ul>}</Show>
  </Frame>;
};

const One = ({ name }: { name: string }) => {
  const policy = useLoaded(() => policyOf(name), [name]);
  return <Frame title={`Limits of ${name}`}>
    <Show loaded={policy}>{({ rates, operations }) => {
      const own = operations.filter((one) => one.rates.length > 0);
      return <>
        <h2>Every operation</h2>
        {rates.length === 0 ? <p>The contract sets no limits; the gateway's defaults apply.</p> : <Facts facts={rates.map((one) => [one.name, rateText(one)])} />}
        <h2>Operations with their own limits</h2>
        {own.length === 0 ? <p>None.</p> : <Table label="Operations with their own limits" items={own} id={({ at }) => at} columns={[
          { head: "Operation", cell: ({ id }) => id }, { head: "Path", cell: ({ at }) => <code>{at}</code> },
          { head: "Limit", cell: (one) => one.rates.map((rate) => <div key={rate.name}>{rateText(rate)}</div>) },
        ]} />}
      </>;
    }}</Show>
  </Frame>;
};

export const limits: View = { route: "limits", title: "Limits", allowed: () => true, Shown: ({ of: [name] }) => (name ? <One name={name} /> : <Limits />) };
