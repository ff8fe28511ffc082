// A key by which a browser searches the engine itself, within one collection and for a time.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { say } from "#page/screen.js";
import { ask, showOnce } from "./ask.js";
import { family, take } from "./family.js";
import { json } from "./form.js";

type Body = Schemas["search"]["SearchKeyCreate"];

/** Makes a search key, and shows it once. */
export const createSearchKey = async (collection: string): Promise<void> => {
  const made = await ask({
    title: `Create search key for ${collection}`, label: "Create key", text: "Whoever has it can search this collection directly at the engine, within your access, until it expires. It can't be revoked.",
    fields: [
      { name: "expiresInSeconds", label: "Minutes until expiry", kind: "number", value: "60", hint: "1 to 1440." },
      { name: "filter", label: "Filter", kind: "area", optional: true, maxLength: 16384, hint: 'JSON, for example {"field":"scene","op":"eq","texts":["ACT I"]}. Only some engines support it: those that apply it in addition to the caller\'s filter.' },
      { name: "excludeFields", label: "Hidden fields", kind: "area", optional: true, hint: "One per line. They are not shown, and can still be searched." },
      { name: "perPage", label: "Hits on a page", kind: "number", optional: true, hint: "It replaces the number that a search requests." },
    ],
    act: (given) => {
      const perPage = given.number("perPage"), excludeFields = given.words("excludeFields");
      return take(family.search.POST("/collections/{collection}/search-keys", { params: { path: { collection } }, body: {
        expiresInSeconds: Math.round(Number(given.text("expiresInSeconds")) * 60), ...(given.text("filter").trim() && { filter: json(given, "filter") as NonNullable<Body["filter"]> }),
        ...(excludeFields.length > 0 && { excludeFields }), ...(perPage !== undefined && { perPage }),
      } }));
    },
  });
  if (!made) return;
  const { key, collection: name, engineUrl, expiresAt } = made.value;
  await showOnce("Save this search key", `It searches ${name}${engineUrl ? ` at ${engineUrl}` : ""} in the header X-Typesense-Api-Key until ${moment(expiresAt)}, and is not shown again.`, key);
  say("Search key created.");
};
