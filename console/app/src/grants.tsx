// Who may use a collection besides its owner.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { ask } from "./ask.js";
import { family, me, take } from "./family.js";
import { Listing } from "./listing.js";
import { from } from "./pages.js";
import { announce, useRound } from "./view.js";

type Grant = Schemas["search"]["Grant"];

const kinds = [{ value: "role", label: "a role" }, { value: "user", label: "a user, by ID" }, { value: "service", label: "a service, by ID" }, { value: "tenant", label: "a tenant" }];

const grant = async (collection: string): Promise<boolean> => announce(await ask({
  title: `Grant access to ${collection}`, label: "Grant access", fields: [
    { name: "kind", label: "To", kind: "choice", options: kinds }, { name: "grantee", label: "Name or ID", maxLength: 90 },
    { name: "access", label: "Access", kind: "choice", options: [{ value: "read", label: "read: search and read documents" }, { value: "write", label: "write: change documents, too" }] },
  ],
  act: (given) => take(family.search.PUT("/collections/{collection}/grants/{grantee}", {
    params: { path: { collection, grantee: `${given.text("kind")}:${given.text("grantee").trim()}` } }, body: { access: given.text("access") === "write" ? "write" : "read" },
  })),
}), ({ grantee, access }) => `${grantee} may ${access} ${collection}.`);

const remove = async (collection: string, { grantee }: Grant): Promise<boolean> => announce(await ask({
  title: `Delete the grant of ${grantee}?`, label: "Delete", text: "Searches and writes that rely on it are refused from now on. Search keys that were created with it work until they expire.",
  act: () => take(family.search.DELETE("/collections/{collection}/grants/{grantee}", { params: { path: { collection, grantee } } })),
}), () => `Grant of ${grantee} deleted.`);

export const Grants = ({ collection }: { collection: string }) => {
  const [round, after] = useRound();
  const may = me().can("collections:write");
  return <section aria-label="Grants"><h2>Grants</h2>
    {may && <div class="actions"><button type="button" onClick={after(() => grant(collection))}>Grant access</button></div>}
    <Listing<Grant> label="Grants" of={round} id={({ grantee }) => grantee} none="Only the owner has access."
      load={(cursor) => take(family.search.GET("/collections/{collection}/grants", { params: { path: { collection }, query: from(cursor) } }))}
      columns={[
        { head: "To", cell: ({ grantee }) => <code>{grantee}</code> }, { head: "Access", cell: ({ access }) => access }, { head: "Since", cell: ({ grantedAt }) => moment(grantedAt) },
        { head: "Actions", cell: (one) => may && <button type="button" aria-label={`Delete the grant of ${one.grantee}`} onClick={after(() => remove(collection, one))}>Delete</button> },
      ]} />
  </section>;
};
