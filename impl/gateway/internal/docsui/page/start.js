// Fills the start page with the services and their states.

import { family, services } from "/docs/services.js";

const cell = (tag, content) => {
  const made = document.createElement(tag);
  made.append(content);
  return made;
};

const row = ({ name, status, adopted }) => {
  const link = document.createElement("a");
  link.href = `/docs?contract=${name}`;
  link.append(name);
  const first = cell("th", link);
  first.scope = "row";
  const state = cell("td", status);
  state.className = `state ${status === "ready" ? "ready" : "wanting"}`;
  const made = document.createElement("tr");
  made.append(first, cell("td", family.get(name) ?? (adopted ? "A service of this team" : "")), state);
  return made;
};

const fill = async () => {
  const known = await services();
  // The gateway answers: it is ready. It does not list itself.
  const all = known.some(({ name }) => name === "gateway") ? known : [{ name: "gateway", status: "ready" }, ...known];
  document.querySelector("#services").replaceChildren(...all.map(row));
};

fill().catch((cause) => {
  document.querySelector("#status").textContent = `The state of the services is unknown: ${cause.message}. Reload the page to try again.`;
});
