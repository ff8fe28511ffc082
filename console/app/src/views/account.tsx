// The person's own account.

import { moment } from "#page/words.js";
import { say } from "#page/screen.js";
import { Problem } from "#page/problem.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import { Facts } from "../listing.js";
import { address } from "../route.js";
import { Consents } from "../consents.js";
import { Sessions } from "../sessions.js";
import { useState } from "preact/hooks";
import { Frame, Show, useLoaded, type View } from "../view.js";

const changePassword = async () => {
  const done = await ask({
    title: "Change your password", label: "Change password", text: "Your other sessions end.",
    fields: [
      { name: "username", label: "User name", kind: "hidden", autocomplete: "username", value: me().name },
      { name: "currentPassword", label: "Current password", kind: "password", autocomplete: "current-password" },
      { name: "newPassword", label: "New password", kind: "password", autocomplete: "new-password", hint: "At least 12 characters. Three or four words that don't belong together are good." },
      { name: "repeated", label: "Repeat the new password", kind: "password", autocomplete: "new-password" },
    ],
    act: async (given) => {
      if (given.text("newPassword") !== given.text("repeated")) throw new Problem({ code: "passwords_differ" });
      await take(family.kms.PUT("/users/{userId}/password", {
        params: { path: { userId: me().subject } }, body: { currentPassword: given.text("currentPassword"), newPassword: given.text("newPassword") },
      }));
    },
  });
  if (done) say("Password changed.");
};

const Account = () => {
  const [round, setRound] = useState(0);
  const user = useLoaded(() => take(family.kms.GET("/users/{userId}", { params: { path: { userId: me().subject } } })));
  return <Frame title="My account">
    <Show loaded={user}>{({ username, roles, tenant, createdAt, id }) => <Facts facts={[
      ["User name", username], ["Roles", roles.join(", ")], ...(tenant ? [["Tenant", tenant] as [string, string]] : []), ["ID", <code>{id}</code>], ["Created", moment(createdAt)],
    ]} />}</Show>
    <div class="actions">
      <button type="button" onClick={changePassword}>Change password</button>
      <a href="/twofactor/v1/enroll">Second factors</a>
      {me().can("keys:read") && <a href={address("keys")}>API keys</a>}
    </div>
    <Consents round={round} done={() => setRound(round + 1)} />
    <Sessions key={round} userId={me().subject} name={me().name} />
  </Frame>;
};

export const account: View = { route: "account", title: "My account", allowed: (person) => person.can("session:manage"), Shown: Account };
