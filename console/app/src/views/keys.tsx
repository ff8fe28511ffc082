// The API keys of the person.

import { family, me, take } from "../family.js";
import { Keys } from "../keylist.js";
import { all, from } from "../pages.js";
import { Frame, type View } from "../view.js";

/** Scopes that the person may give to a key: those that their own token has. */
const scopes = async (): Promise<string[]> => {
  const known = await all((cursor) => take(family.kms.GET("/scopes", { params: { query: from(cursor) } })));
  return known.map(({ scope }) => scope).filter((scope) => me().can(scope));
};

export const keys: View = {
  route: "keys", title: "API keys", allowed: (person) => person.can("keys:read"),
  Shown: () => <Frame title="API keys">
    <p>A program uses an API key in place of your password. A key has the scopes that you choose, and is shown once.</p>
    <Keys owner={{ kind: "user", id: me().subject, name: me().name }} scopes={scopes} />
  </Frame>,
};
