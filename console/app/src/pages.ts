// Lists whose whole is needed at once, for choices.

import type { Page } from "./listing.js";

const most = 20; // pages

/** Returns the items of all pages of a list, up to the first 20 pages. */
export const all = async <T>(load: (cursor: string | undefined) => Promise<Page<T>>): Promise<T[]> => {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < most && (page === 0 || cursor); page++) {
    const got = await load(cursor);
    items.push(...got.items);
    cursor = got.nextCursor;
  }
  return items;
};

/** Returns the parameters of a page. */
export const from = (cursor: string | undefined, limit = 50): { limit: number; cursor?: string } => ({ limit, ...(cursor && { cursor }) });
