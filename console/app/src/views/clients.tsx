// Web apps to which people sign in with their account (OpenID Connect clients).

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { useState } from "preact/hooks";
import { ask, showOnce } from "../ask.js";
import { family, me, take } from "../family.js";
import type { Field, Given } from "../form.js";
import { Facts, Listing } from "../listing.js";
import { from } from "../pages.js";
import { address, go } from "../route.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

type Client = Schemas["kms"]["WebClient"];

/** The fields of what can be changed of a client too. */
const fields = (client?: Client): Field[] => [
  { name: "name", label: "Name", hint: "Shown to people when they sign in.", maxLength: 64, value: client?.name ?? "" },
  { name: "redirectUris", label: "Redirect URIs", hint: "One per line. Compared character by character; https, or http on localhost.", kind: "area", maxLength: 8192, value: client?.redirectUris.join("\n") ?? "" },
  { name: "postLogoutRedirectUris", label: "Redirect URIs after sign-out", hint: "One per line.", kind: "area", maxLength: 8192, optional: true, value: client?.postLogoutRedirectUris.join("\n") ?? "" },
  { name: "scopes", label: "Scopes", hint: "One per line. What the app may request at services.", kind: "area", maxLength: 8192, optional: true, value: client?.scopes.join("\n") ?? "" },
  { name: "trusted", label: "Consent", kind: "choice", value: String(client?.trusted ?? false), options: [{ value: "false", label: "people are asked" }, { value: "true", label: "not asked: the app is the team's own" }] },
];

const lines = (text: string): string[] => text.split(/\s+/).filter(Boolean);

const registrationOf = (given: Given) => ({
  name: given.text("name"), redirectUris: lines(given.text("redirectUris")), postLogoutRedirectUris: lines(given.text("postLogoutRedirectUris")),
  scopes: lines(given.text("scopes")), trusted: given.text("trusted") === "true",
});

const showSecret = (name: string, secret: string) => showOnce("Save this client secret", `${name} authenticates with it at the token endpoint. It is not shown again.`, secret);

const register = async () => {
  const made = await ask({
    title: "Register web app", label: "Register", fields: [{ name: "type", label: "Type", kind: "choice", value: "confidential", options: [
      { value: "confidential", label: "confidential: runs on a server and has a secret" }, { value: "public", label: "public: runs in a browser or on a device" }] }, ...fields()],
    act: (given) => take(family.kms.POST("/clients", { body: { type: given.text("type") === "public" ? "public" : "confidential", ...registrationOf(given) } })),
  });
  if (!made) return;
  const { client, clientSecret } = made.value;
  if (clientSecret) await showSecret(client.name, clientSecret);
  go("clients", client.id);
  say(`${client.name} registered.`);
};

const Clients = () => <Frame title="Web apps">
  <p>Apps to which people sign in with their account on this server (OpenID Connect).</p>
  {me().can("services:write") && <div class="actions"><button type="button" onClick={register}>Register web app</button></div>}
  <Listing<Client> label="Web apps" id={({ id }) => id} none="No web apps." load={(cursor) => take(family.kms.GET("/clients", { params: { query: from(cursor) } }))}
    columns={[
      { head: "Name", cell: ({ id, name }) => <a href={address("clients", id)}>{name}</a> },
      { head: "Type", cell: ({ type }) => type },
      { head: "Redirect URIs", cell: ({ redirectUris }) => redirectUris.join(", ") },
      { head: "Created", cell: ({ createdAt }) => moment(createdAt) },
    ]} />
</Frame>;

/** What is done with a client; each resolves with whether it is to be loaded again. */
const actionsOf = (client: Client) => {
  const path = { clientId: client.id }, name = client.name;
  return {
    update: async () => {
      const made = await ask({
        title: `Update ${name}`, label: "Update", text: "Removing a scope signs people out of the app.", fields: fields(client),
        act: (given) => take(family.kms.PATCH("/clients/{clientId}", { params: { path, header: { "If-Match": `"${client.version}"` } }, body: registrationOf(given) })),
      });
      if (made) say(`${made.value.name} updated.`);
      return made !== undefined;
    },
    rotate: async () => {
      const made = await ask({
        title: `Rotate the secret of ${name}?`, label: "Rotate secret", text: "The current secret stops working at once.", act: () => take(family.kms.POST("/clients/{clientId}/secrets", { params: { path } })),
      });
      if (!made) return false;
      if (made.value.clientSecret) await showSecret(name, made.value.clientSecret);
      say(`Secret of ${name} rotated.`);
      return true;
    },
    remove: async () => {
      const done = await ask({
        title: `Delete ${name}?`, label: "Delete", text: "People are signed out of the app, and can't sign in there. Their other sessions remain. This can't be undone.",
        act: () => take(family.kms.DELETE("/clients/{clientId}", { params: { path } })),
      });
      if (done) {
        go("clients");
        say(`${name} deleted.`);
      }
      return false;
    },
  };
};

const One = ({ id }: { id: string }) => {
  const [name, setName] = useState("Web app");
  const client = useLoaded(async () => {
    const got = await take(family.kms.GET("/clients/{clientId}", { params: { path: { clientId: id } } }));
    setName(got.name);
    return got;
  }, [id]);
  return <Frame title={name}><Show loaded={client}>{(one) => <Known client={one} reload={client.reload} />}</Show></Frame>;
};

const Known = ({ client, reload }: { client: Client; reload: () => void }) => {
  const actions = actionsOf(client);
  const after = (act: () => Promise<boolean>) => async () => {
    if (await act()) reload();
  };
  return <>
    <Facts facts={[["Client ID", <code>{client.id}</code>], ["Type", client.type], ["Redirect URIs", client.redirectUris.join(", ")], ["After sign-out", client.postLogoutRedirectUris.join(", ") || "none"],
      ["Scopes", client.scopes.join(", ") || "none"], ["Consent", client.trusted ? "not asked" : "asked"], ["Version", client.version], ["Created", moment(client.createdAt)], ["Updated", moment(client.updatedAt)]]} />
    {me().can("services:write") && <div class="actions">
      <button type="button" onClick={after(actions.update)}>Update</button>
      {client.type === "confidential" && <button type="button" onClick={after(actions.rotate)}>Rotate secret</button>}
      <button type="button" onClick={after(actions.remove)}>Delete</button>
    </div>}
  </>;
};

export const clients: View = {
  route: "clients", title: "Web apps", allowed: (person) => person.can("services:read"), Shown: ({ of: [id] }) => (id ? <One id={id} /> : <Clients />),
};
