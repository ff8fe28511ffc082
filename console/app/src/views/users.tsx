// The people, for administrators.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { useState } from "preact/hooks";
import { ask, showOnce } from "../ask.js";
import { family, me, take } from "../family.js";
import type { Field } from "../form.js";
import { Keys } from "../keylist.js";
import { Facts, Listing } from "../listing.js";
import { all, from } from "../pages.js";
import { address, go } from "../route.js";
import { Sessions } from "../sessions.js";
import { Frame, Show, useLoaded, type View } from "../view.js";

type User = Schemas["kms"]["User"];
type Mail = Schemas["kms"]["Mail"];

const roles = () => all((cursor) => take(family.kms.GET("/roles", { params: { query: from(cursor) } })));

/** The field of the roles there are. */
const roleField = async (chosen: string[]): Promise<Field> =>
  ({ name: "roles", label: "Roles", kind: "many", value: chosen, options: (await roles()).map(({ name }) => ({ value: name, label: name })) });

const showInvitation = (name: string, invitation: Schemas["kms"]["Invitation"]) => showOnce("Save this invitation",
  `${name} needs it to add their first second factor. It works once, until ${moment(invitation.expiresAt)}, and is not shown again.`, invitation.token);

const create = async () => {
  const made = await ask({
    title: "Create user", label: "Create user",
    fields: [
      { name: "username", label: "User name", hint: "Lowercase letters, digits and . _ @ -", maxLength: 64 },
      { name: "email", label: "Mail address", maxLength: 254, optional: true, autocomplete: "off", hint: "Links about the account are sent there. It may be empty." },
      { name: "password", label: "Initial password", kind: "password", autocomplete: "new-password", hint: "At least 12 characters. They can change it." },
      await roleField(["reader"]),
    ],
    act: (given) => take(family.kms.POST("/users", { body: { username: given.text("username"), password: given.text("password"), roles: given.all("roles"), ...(given.text("email") && { email: given.text("email") }) } })),
  });
  if (!made) return;
  if (made.value.invitation) await showInvitation(made.value.username, made.value.invitation);
  go("users", made.value.id);
  say(`User ${made.value.username} created.`);
};

const Users = () => <Frame title="Users">
  {me().can("users:write") && <div class="actions"><button type="button" onClick={create}>Create user</button></div>}
  <Listing<User> label="Users" id={({ id }) => id} none="No users." load={(cursor) => take(family.kms.GET("/users", { params: { query: from(cursor) } }))}
    columns={[
      { head: "Name", cell: ({ id, username }) => <a href={address("users", id)}>{username}</a> },
      { head: "Roles", cell: (user) => user.roles.join(", ") },
      { head: "State", cell: ({ status }) => <span class={status === "active" ? "" : "off"}>{status}</span> },
      { head: "Created", cell: ({ createdAt }) => moment(createdAt) },
    ]} />
  <section aria-label="Mails"><h2>Mails about accounts</h2>
    <Listing<Mail> label="Mails about accounts" id={({ id }) => id} none="No mails." load={(cursor) => take(family.kms.GET("/mails", { params: { query: from(cursor) } }))}
      columns={[
        { head: "About", cell: ({ kind }) => kind.replace("_", " ") },
        { head: "To", cell: ({ userId, to }) => <a href={address("users", userId)}>{to}</a> },
        { head: "State", cell: ({ status, reason }) => <span class={status === "failed" ? "off" : ""}>{reason ? `${status}: ${reason}` : status}</span> },
        { head: "When", cell: ({ updatedAt }) => moment(updatedAt) },
      ]} />
  </section>
</Frame>;

const mailSent = ({ to }: Mail) => `A mail to ${to} is on its way.`;

/** What is done with a user; each resolves with whether it was done. */
const actionsOf = (user: User) => {
  const params = { path: { userId: user.id } }, name = user.username;
  const update = (body: Schemas["kms"]["UserUpdate"]) => take(family.kms.PATCH("/users/{userId}", { params: { ...params, header: { "If-Match": `"${user.version}"` } }, body }));
  const done = (text: string, what: unknown): boolean => {
    if (what !== undefined) say(text);
    return what !== undefined;
  };
  return {
    changeRoles: async () => done(`Roles of ${name} updated.`, await ask({
      title: `Roles of ${name}`, label: "Update roles", fields: [await roleField(user.roles)], act: (given) => update({ roles: given.all("roles") }),
    })),
    disable: async () => done(`${name} disabled.`, await ask({
      title: `Disable ${name}?`, label: "Disable", text: "Their sessions and API keys stop working at once. The user can be enabled again.", act: () => update({ status: "disabled" }),
    })),
    enable: async () => done(`${name} enabled.`, await ask({
      title: `Enable ${name}?`, label: "Enable", text: "They can sign in again.", act: () => update({ status: "active" }),
    })),
    unlock: async () => done(`${name} unlocked.`, await ask({
      title: `Unlock ${name}?`, label: "Unlock", text: "The count of failed sign-ins is reset.", act: () => take(family.kms.POST("/users/{userId}/unlock", { params })),
    })),
    resetPassword: async () => {
      const made = await ask({
        title: `Reset the password of ${name}?`, label: "Create reset link", text: "The user sets a new password with it. Older links stop working.",
        act: () => take(family.kms.POST("/users/{userId}/password-resets", { params })),
      });
      if (made) await showOnce("Save this reset link", `Give it to ${name}, who opens it and chooses a password. It works once, until ${moment(made.value.expiresAt)}, and is not shown again. On the command line (fountain passwd --reset-token-file FILE) its part behind # does the same.`,
        `${location.origin}/kms/v1/auth/password-reset#${made.value.token}`);
      return done("Link created.", made);
    },
    changeEmail: async () => done(`${name} has a new mail address.`, await ask({
      title: `Mail address of ${name}`, label: "Update", text: "Links to choose a password that were sent to the old one stop working.",
      fields: [{ name: "email", label: "Mail address", value: user.email ?? "", maxLength: 254, optional: true, autocomplete: "off", hint: "Empty: no mail address." }], act: (given) => update({ email: given.text("email") }),
    })),
    mailReset: async () => {
      const sent = await ask({
        title: `Mail ${name} a reset link?`, label: "Send mail", text: `The user chooses a new password with it within an hour. It is sent to ${user.email}. Older links stop working.`,
        act: () => take(family.kms.POST("/users/{userId}/password-resets/mail", { params, body: {} })),
      });
      return done(sent ? mailSent(sent.value) : "", sent);
    },
    mailInvitation: async () => {
      const sent = await ask({
        title: `Mail ${name} an invitation?`, label: "Send mail", text: `The user adds their first second factor with it within 72 hours. It is sent to ${user.email}. Older invitations stop working.`,
        act: () => take(family.kms.POST("/users/{userId}/invitations/mail", { params, body: {} })),
      });
      return done(sent ? mailSent(sent.value) : "", sent);
    },
    invite: async () => {
      const made = await ask({
        title: `Invite ${name} to add a second factor?`, label: "Create invitation", text: "An administrator's first second factor needs one. Older invitations stop working.",
        act: () => take(family.kms.POST("/users/{userId}/invitations", { params })),
      });
      if (made) await showInvitation(name, made.value);
      return done("Invitation created.", made);
    },
    resetFactors: async () => {
      const ended = await ask({
        title: `Reset the second factors of ${name}?`, label: "Reset", text: "All second factors and recovery codes are deleted. The user signs in with the password and adds new ones.",
        fields: [{ name: "reason", label: "Reason", hint: "Why, and how you identified the person. It is kept in the audit trail.", maxLength: 256 }],
        act: (given) => take(family.twofactor.POST("/subjects/{subjectId}/reset", { params: { path: { subjectId: user.id } }, body: { reason: given.text("reason") } })),
      });
      return done(ended ? `${ended.value.factors} second factors and ${ended.value.recoveryCodes} recovery codes deleted.` : "", ended);
    },
    remove: async () => {
      const gone = done(`${name} deleted.`, await ask({
        title: `Delete ${name}?`, label: "Delete", text: "Their sessions, keys and second factors end. This can't be undone.", act: () => take(family.kms.DELETE("/users/{userId}", { params })),
      }));
      if (gone) go("users");
      return false;
    },
  };
};

const One = ({ id }: { id: string }) => {
  const [name, setName] = useState("User");
  const user = useLoaded(async () => {
    const got = await take(family.kms.GET("/users/{userId}", { params: { path: { userId: id } } }));
    setName(got.username);
    return got;
  }, [id]);
  return <Frame title={name}><Show loaded={user}>{(one) => <Known user={one} reload={user.reload} />}</Show></Frame>;
};

const Known = ({ user, reload }: { user: User; reload: () => void }) => {
  const actions = actionsOf(user);
  const after = (act: () => Promise<boolean>) => async () => {
    if (await act()) reload();
  };
  const given = async (): Promise<string[]> => {
    const known = await roles();
    return [...new Set(known.filter(({ name }) => user.roles.includes(name)).flatMap(({ scopes }) => scopes))];
  };
  return <>
    <Facts facts={[["State", <span class={user.status === "active" ? "" : "off"}>{user.status}</span>], ["Roles", user.roles.join(", ")],
      ...(user.email ? [["Mail address", user.email] as [string, string]] : []), ...(user.tenant ? [["Tenant", user.tenant] as [string, string]] : []), ["ID", <code>{user.id}</code>], ["Created", moment(user.createdAt)], ["Updated", moment(user.updatedAt)]]} />
    {me().can("users:write") && <div class="actions">
      <button type="button" onClick={after(actions.changeRoles)}>Update roles</button>
      {user.status === "active" ? <button type="button" onClick={after(actions.disable)}>Disable</button> : <button type="button" onClick={after(actions.enable)}>Enable</button>}
      <button type="button" onClick={after(actions.unlock)}>Unlock</button>
      <button type="button" onClick={after(actions.resetPassword)}>Reset password</button>
      {user.email && user.status === "active" && <button type="button" onClick={after(actions.mailReset)}>Mail a reset link</button>}
      {user.email && user.roles.includes("admin") && user.status === "active" && <button type="button" onClick={after(actions.mailInvitation)}>Mail an invitation</button>}
      <button type="button" onClick={after(actions.changeEmail)}>Update mail address</button>
      {user.roles.includes("admin") && user.status === "active" && <button type="button" onClick={after(actions.invite)}>Invite to a second factor</button>}
      {me().can("factors:manage") && <button type="button" onClick={after(actions.resetFactors)}>Reset second factors</button>}
      <button type="button" onClick={after(actions.remove)}>Delete</button>
    </div>}
    <Sessions userId={user.id} name={user.username} />
    <section aria-label="API keys"><h2>API keys</h2><Keys owner={{ kind: "user", id: user.id, name: user.username }} scopes={given} /></section>
  </>;
};

export const users: View = {
  route: "users", title: "Users", allowed: (person) => person.can("users:read"), Shown: ({ of: [id] }) => (id ? <One id={id} /> : <Users />),
};
