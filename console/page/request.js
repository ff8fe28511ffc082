// The parameters that a web app passes in the page's address, and the way back to the app.

import { el } from "./dom.js";
import { show } from "./screen.js";

const query = new URLSearchParams(location.search);

// ask returns the parameters that are present.
export const ask = (names) => Object.fromEntries(names.filter((name) => query.has(name)).map((name) => [name, query.get(name)]));

// leave sends the browser to an address from the kms. The page is not kept in the history, since its request works once.
export const leave = (to) => {
  show("You are being sent on", el("p", {}, "If nothing happens, reload the page that you came from."));
  location.replace(to);
};
