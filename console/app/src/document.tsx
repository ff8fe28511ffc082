// One document of a collection, as it is stored. If the collection keeps versions, it is changed only if it was not changed meanwhile.

import type { Schemas } from "@fountainai/client";
import { ask } from "./ask.js";
import { family, me, take } from "./family.js";
import { json } from "./form.js";
import { indented } from "./jsontext.js";
import { Facts } from "./listing.js";
import { address, go } from "./route.js";
import { say } from "#page/screen.js";
import { Frame, Show, announce, useLoaded, useRound } from "./view.js";

type Collection = Schemas["search"]["Collection"];

/** Which document: of a collection whose documents belong to tenants, and to who reaches all of them, also whose. */
interface Place {
  collection: string;
  id: string;
  tenant?: string | undefined;
}

/** A document's text, and its version where the collection keeps some. */
interface Stored {
  text: string;
  tag: string | null;
}

/** The parameters of a call. The first character of the id is escaped always: an id may be a word that means another operation in that place. */
const at = ({ collection, id, tenant }: Place) => ({
  path: { path: { collection, documentId: id }, ...(tenant && { query: { tenant } }) },
  pathSerializer: (pathname: string) => pathname.replace("{collection}", encodeURIComponent(collection)).replace("{documentId}", () => escaped(id)),
});

/** The same of a call that changes the document, which must have a version. */
const over = (place: Place, tag: string | null) => {
  const { path, pathSerializer } = at(place);
  return { params: { ...path, ...(tag && { header: { "If-Match": tag } }) }, pathSerializer };
};

const escaped = (id: string): string => {
  const [first = "", ...others] = id;
  return [...new TextEncoder().encode(first)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("") + encodeURIComponent(others.join(""));
};

const read = async (place: Place): Promise<Stored> => {
  const { path, pathSerializer } = at(place);
  const call = family.search.GET("/collections/{collection}/documents/{documentId}", { params: path, pathSerializer, parseAs: "text" });
  const text = String(await take(call));
  return { text, tag: (await call).response.headers.get("ETag") };
};

const replace = async (place: Place, { text, tag }: Stored): Promise<boolean> => announce(await ask({
  title: `Replace ${place.id}`, label: "Replace", text: tag ? "It is replaced only if it still has the version that you see." : "Changes that others have made in the meantime are replaced, too.",
  fields: [{ name: "document", label: "Document", kind: "area", maxLength: 524288, value: indented(text), hint: "A JSON object that matches the collection's fields." }],
  act: async (given) => {
    json(given, "document"); // refuses a text that is not JSON
    await take(family.search.PUT("/collections/{collection}/documents/{documentId}", { ...over(place, tag), body: {}, bodySerializer: () => given.text("document") }));
    return true;
  },
}), () => `Document ${place.id} replaced.`);

const remove = async (place: Place, { tag }: Stored): Promise<void> => {
  const done = await ask({
    title: `Delete document ${place.id}?`, label: "Delete", text: "Searches no longer find it. This can't be undone.",
    act: () => take(family.search.DELETE("/collections/{collection}/documents/{documentId}", over(place, tag))),
  });
  if (!done) return;
  go("search", place.collection);
  say(`Document ${place.id} deleted.`);
};

/** Returns the address of a document. */
export const addressOf = ({ collection, id, tenant }: Place): string => address("search", collection, id, ...(tenant ? [tenant] : []));

const version = (one: Collection, { tag }: Stored): string => (one.versioned ? tag?.replaceAll('"', "") ?? "none yet" : "not kept by this collection");

/** A view of one document. */
export const Document = (place: Place) => {
  const [round, after] = useRound();
  const { collection, id, tenant } = place;
  const loaded = useLoaded(async () => {
    const [one, stored] = await Promise.all([take(family.search.GET("/collections/{collection}", { params: { path: { collection } } })), read(place)]);
    return { one, stored };
  }, [collection, id, tenant, round]);
  return <Frame title={id}><Show loaded={loaded}>{({ one, stored }) => <>
    <Facts facts={[["Collection", <a href={address("search", collection)}>{collection}</a>], ...(tenant ? [["Tenant", tenant] as [string, string]] : []), ["Version", version(one, stored)]]} />
    <div class="actions">
      <button type="button" onClick={after(async () => true)}>Refresh</button>
      {one.access !== "read" && me().can("documents:write") && <><button type="button" onClick={after(() => replace(place, stored))}>Replace</button><button type="button" onClick={() => remove(place, stored)}>Delete</button></>}
    </div>
    <pre tabIndex={0}>{indented(stored.text)}</pre>
  </>}</Show></Frame>;
};
