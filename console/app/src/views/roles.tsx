// The roles that users may have, and the second factor that each requires.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment, typeName } from "#page/words.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import type { Field } from "../form.js";
import { Facts, Listing } from "../listing.js";
import { all, from } from "../pages.js";
import { address, go } from "../route.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

type Role = Schemas["kms"]["Role"];
type Policy = Schemas["kms"]["SecondFactorPolicy"];
type Factor = Schemas["kms"]["FactorWord"];

const factors: Factor[] = ["passkey", "totp", "email", "sms", "webhook", "recovery_code"];

const scopeField = async (chosen: string[]): Promise<Field> => {
  const known = await all((cursor) => take(family.kms.GET("/scopes", { params: { query: from(cursor) } })));
  return { name: "scopes", label: "Scopes", kind: "many", value: chosen, options: known.map(({ scope }) => scope).sort().map((value) => ({ value, label: value })) };
};

const create = async () => {
  const made = await ask({
    title: "Create role", label: "Create role", fields: [{ name: "name", label: "Name", hint: "Lowercase letters, digits and hyphens.", maxLength: 32 }, await scopeField([])],
    act: (given) => take(family.kms.PUT("/roles/{roleName}", { params: { path: { roleName: given.text("name") }, header: { "If-None-Match": "*" } }, body: { scopes: given.all("scopes") } })),
  });
  if (!made) return;
  go("roles", made.value.name);
  say(`Role ${made.value.name} created.`);
};

const words = ({ required, factors: accepted, maxAge }: Policy): string => [required === "always" ? "at every sign-in" : "where an operation requires one",
  accepted ? `accepted: ${accepted.map(typeName).join(", ")}` : "", maxAge ? `valid for ${maxAge} seconds` : ""].filter(Boolean).join("; ");

const Roles = () => <Frame title="Roles">
  {me().can("users:write") && <div class="actions"><button type="button" onClick={create}>Create role</button></div>}
  <Listing<Role> label="Roles" id={({ name }) => name} none="No roles." load={(cursor) => take(family.kms.GET("/roles", { params: { query: from(cursor) } }))}
    columns={[
      { head: "Name", cell: ({ name }) => <a href={address("roles", name)}>{name}</a> },
      { head: "Built in", cell: ({ builtIn }) => (builtIn ? "yes" : "no") },
      { head: "Scopes", cell: ({ scopes }) => scopes.length },
      { head: "Second factor", cell: ({ secondFactor }) => words(secondFactor) },
    ]} />
</Frame>;

/** What is done with a role; each resolves with whether it is to be loaded again. */
const actionsOf = (role: Role) => {
  const path = { roleName: role.name }, header = { "If-Match": `"${role.version ?? 0}"` };
  const done = (text: string, what: unknown): boolean => {
    if (what !== undefined) say(text);
    return what !== undefined;
  };
  return {
    changeScopes: async () => done(`Scopes of ${role.name} updated.`, await ask({
      title: `Scopes of ${role.name}`, label: "Update scopes", text: "Removing a scope ends the access tokens of every user with this role.", fields: [await scopeField(role.scopes)],
      act: (given) => take(family.kms.PUT("/roles/{roleName}", { params: { path, header }, body: { scopes: given.all("scopes") } })),
    })),
    changePolicy: async () => done(`Second-factor policy of ${role.name} updated.`, await ask({
      title: `Second-factor policy of ${role.name}`, label: "Update policy", text: "It applies from the next sign-in, refresh and step-up.",
      fields: [
        { name: "required", label: "Required", kind: "choice", value: role.secondFactor.required,
          options: [{ value: "onOperations", label: "where an operation requires one" }, { value: "always", label: "at every sign-in" }] },
        { name: "factors", label: "Accepted types", hint: "None selected: all types.", kind: "many", optional: true, value: role.secondFactor.factors ?? [], options: factors.map((value) => ({ value, label: typeName(value) })) },
        { name: "maxAge", label: "Seconds a session keeps its level", hint: "Empty: as long as the session.", kind: "number", optional: true, value: String(role.secondFactor.maxAge ?? "") },
      ],
      act: (given) => {
        const accepted = given.all("factors") as Factor[], maxAge = given.text("maxAge");
        return take(family.kms.PUT("/roles/{roleName}/second-factor", { params: { path, header }, body: {
          required: given.text("required") === "always" ? "always" : "onOperations", ...(accepted.length > 0 && { factors: accepted }), ...(maxAge && { maxAge: Number(maxAge) }),
        } }));
      },
    })),
    remove: async () => {
      const gone = done(`Role ${role.name} deleted.`, await ask({
        title: `Delete ${role.name}?`, label: "Delete", text: "A role that users have can't be deleted. This can't be undone.", act: () => take(family.kms.DELETE("/roles/{roleName}", { params: { path } })),
      }));
      if (gone) go("roles");
      return false;
    },
  };
};

const One = ({ name }: { name: string }) => {
  const role = useLoaded(() => take(family.kms.GET("/roles/{roleName}", { params: { path: { roleName: name } } })), [name]);
  return <Frame title={name}><Show loaded={role}>{(one) => <Known role={one} reload={role.reload} />}</Show></Frame>;
};

const Known = ({ role, reload }: { role: Role; reload: () => void }) => {
  const actions = actionsOf(role);
  const after = (act: () => Promise<boolean>) => async () => {
    if (await act()) reload();
  };
  return <>
    <Facts facts={[["Built in", role.builtIn ? "yes" : "no"], ["Scopes", role.scopes.join(", ")], ["Second factor", words(role.secondFactor)],
      ...(role.updatedAt ? [["Updated", moment(role.updatedAt)] as [string, string]] : [])]} />
    {me().can("users:write") && <div class="actions">
      <button type="button" onClick={after(actions.changePolicy)}>Update second-factor policy</button>
      {!role.builtIn && <button type="button" onClick={after(actions.changeScopes)}>Update scopes</button>}
      {!role.builtIn && <button type="button" onClick={after(actions.remove)}>Delete</button>}
    </div>}
  </>;
};

export const roles: View = {
  route: "roles", title: "Roles", allowed: (person) => person.can("users:read"), Shown: ({ of: [name] }) => (name ? <One name={name} /> : <Roles />),
};
