// What a web app says in the page's address, and the way back to it.

import { el } from "./dom.js";
import { show } from "./screen.js";

const query = new URLSearchParams(location.search);

// ask returns those of the parameters that are there.
export const ask = (names) => Object.fromEntries(names.filter((name) => query.has(name)).map((name) => [name, query.get(name)]));

// leave sends the browser to an address that the kms gave. The page does not stay behind in the history: what it was asked works once.
export const leave = (to) => {
  show("You are being sent on", el("p", {}, "If nothing happens, reload the page that you came from."));
  location.replace(to);
};
