// The place in the console is the fragment of the address: a reload keeps it, and it can be shared. "#/users/usr_1" is the view "users" and
// what of it.

import { useEffect, useState } from "preact/hooks";

import { closeAll } from "#page/dialog.js";

export interface Route {
  view: string;
  of: string[];
}

/** Returns the route that the address names; of any other text the view is "". */
const current = (): Route => {
  const [start, view = "", ...of] = location.hash.split("/");
  try {
    return start === "#" ? { view, of: of.map(decodeURIComponent) } : { view: "", of: [] };
  } catch {
    return { view: "", of: [] };
  }
};

/** Returns the address of a route. */
export const address = (view: string, ...of: string[]): string => ["#", view, ...of.map(encodeURIComponent)].join("/");

/** Goes to a route. */
export const go = (view: string, ...of: string[]): void => {
  location.hash = address(view, ...of);
};

/** Returns the route, and renders anew when it changes. */
export const useRoute = (): Route => {
  const [route, set] = useState(current);
  useEffect(() => {
    const changed = () => {
      closeAll(); // dialogs belong to the view that opened them
      set(current());
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
};
