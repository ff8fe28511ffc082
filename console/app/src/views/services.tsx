// The programs that have accounts, for administrators.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { useState } from "preact/hooks";
import { ask, showOnce } from "../ask.js";
import { family, me, take } from "../family.js";
import type { Field, Given } from "../form.js";
import { Keys } from "../keylist.js";
import { Facts, Listing } from "../listing.js";
import { all, from } from "../pages.js";
import { address, go } from "../route.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

type Service = Schemas["kms"]["Service"];

const scopes = async () => (await all((cursor) => take(family.kms.GET("/scopes", { params: { query: from(cursor) } })))).map(({ scope }) => scope).sort();

/** The fields of what a service may do, and of what others may do at it. */
const scopeFields = async (service?: Service): Promise<Field[]> => [
  { name: "scopes", label: "Granted scopes", hint: "What the service may do at other services.", kind: "many", optional: true, value: service?.scopes ?? [], options: (await scopes()).map((value) => ({ value, label: value })) },
  { name: "declaredScopes", label: "Declared scopes", hint: "What callers may do at this service. One per line, as name:verb.", kind: "area", optional: true, value: service?.declaredScopes.join("\n") ?? "" },
];

const scopesOf = (given: Given) => ({ scopes: given.all("scopes"), declaredScopes: given.text("declaredScopes").split(/\s+/).filter(Boolean) });

const showToken = (name: string, { token, expiresAt }: Schemas["kms"]["Enrolment"]) => showOnce("Save this enrolment token",
  `${name} exchanges it for its first API key. It works once, until ${moment(expiresAt)}, and is not shown again.`, token);

const register = async () => {
  const fields = await scopeFields();
  const made = await ask({
    title: "Register service", label: "Register", fields: [{ name: "name", label: "Name", hint: "Lowercase letters, digits and hyphens. It can't be changed or reused later.", maxLength: 63 }, ...fields],
    act: (given) => take(family.kms.POST("/services", { body: { name: given.text("name"), ...scopesOf(given) } })),
  });
  if (!made) return;
  const { service, enrolment } = made.value;
  await showToken(service.name, enrolment);
  go("services", service.id);
  say(`${service.name} registered.`);
};

const Services = () => <Frame title="Services">
  {me().can("services:write") && <div class="actions"><button type="button" onClick={register}>Register service</button></div>}
  <Listing<Service> label="Services" id={({ id }) => id} none="No services." load={(cursor) => take(family.kms.GET("/services", { params: { query: from(cursor) } }))}
    columns={[
      { head: "Name", cell: ({ id, name }) => <a href={address("services", id)}>{name}</a> },
      { head: "State", cell: ({ status }) => <span class={status === "active" ? "" : "off"}>{status}</span> },
      { head: "Granted scopes", cell: (one) => one.scopes.join(", ") || "none" },
      { head: "Last used", cell: ({ lastUsedAt }) => (lastUsedAt ? moment(lastUsedAt) : "never") },
    ]} />
</Frame>;

/** What is done with a service; each resolves with whether it is to be loaded again. */
const actionsOf = (service: Service) => {
  const params = { path: { serviceId: service.id } }, name = service.name;
  const update = (body: Schemas["kms"]["ServiceUpdate"]) =>
    take(family.kms.PATCH("/services/{serviceId}", { params: { ...params, header: { "If-Match": `"${service.version}"` } }, body }));
  const done = (text: string, what: unknown): boolean => {
    if (what !== undefined) say(text);
    return what !== undefined;
  };
  return {
    changeScopes: async () => done(`Scopes of ${name} updated.`, await ask({
      title: `Scopes of ${name}`, label: "Update scopes", fields: await scopeFields(service), act: (given) => update(scopesOf(given)),
    })),
    disable: async () => done(`${name} disabled.`, await ask({
      title: `Disable ${name}?`, label: "Disable", text: "Its API keys and tokens stop working at once. It can be enabled again.", act: () => update({ status: "disabled" }),
    })),
    enable: async () => done(`${name} enabled.`, await ask({ title: `Enable ${name}?`, label: "Enable", text: "Its API keys work again.", act: () => update({ status: "active" }) })),
    enrol: async () => {
      const made = await ask({
        title: `Create enrolment token for ${name}?`, label: "Create token", text: "Older unused tokens stop working.",
        act: () => take(family.kms.POST("/services/{serviceId}/enrolment-tokens", { params })),
      });
      if (made) await showToken(name, made.value);
      return done("Token created.", made);
    },
    remove: async () => {
      const gone = done(`${name} deleted.`, await ask({
        title: `Delete ${name}?`, label: "Delete", text: "Its keys, tokens, scopes and contract are deleted; its name can't be reused. This can't be undone.",
        act: () => take(family.kms.DELETE("/services/{serviceId}", { params })),
      }));
      if (gone) go("services");
      return false;
    },
  };
};

const One = ({ id }: { id: string }) => {
  const [name, setName] = useState("Service");
  const service = useLoaded(async () => {
    const got = await take(family.kms.GET("/services/{serviceId}", { params: { path: { serviceId: id } } }));
    setName(got.name);
    return got;
  }, [id]);
  return <Frame title={name}><Show loaded={service}>{(one) => <Known service={one} reload={service.reload} />}</Show></Frame>;
};

const Known = ({ service, reload }: { service: Service; reload: () => void }) => {
  const actions = actionsOf(service);
  const after = (act: () => Promise<boolean>) => async () => {
    if (await act()) reload();
  };
  return <>
    <Facts facts={[["State", <span class={service.status === "active" ? "" : "off"}>{service.status}</span>], ["Granted scopes", service.scopes.join(", ") || "none"],
      ["Declared scopes", service.declaredScopes.join(", ") || "none"], ...(service.tenant ? [["Tenant", service.tenant] as [string, string]] : []),
      ["ID", <code>{service.id}</code>], ["Created", moment(service.createdAt)], ["Last used", service.lastUsedAt ? moment(service.lastUsedAt) : "never"]]} />
    {me().can("services:write") && <div class="actions">
      <button type="button" onClick={after(actions.changeScopes)}>Update scopes</button>
      {service.status === "active" ? <button type="button" onClick={after(actions.disable)}>Disable</button> : <button type="button" onClick={after(actions.enable)}>Enable</button>}
      <button type="button" onClick={after(actions.enrol)}>Create enrolment token</button>
      <button type="button" onClick={after(actions.remove)}>Delete</button>
    </div>}
    <section aria-label="API keys"><h2>API keys</h2><Keys owner={{ kind: "service", id: service.id, name: service.name }} scopes={async () => service.scopes} /></section>
  </>;
};

export const services: View = {
  route: "services", title: "Services", allowed: (person) => person.can("services:read"), Shown: ({ of: [id] }) => (id ? <One id={id} /> : <Services />),
};
