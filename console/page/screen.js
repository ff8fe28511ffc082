// The one place of the page where steps follow each other. Focus goes to each step's heading, so that a screen reader reads on there.

import { el } from "./dom.js";
import { abandon } from "./passkey.js";

const place = document.getElementById("screen");
const status = document.getElementById("status");

// show puts a step in the place of the one before.
export const show = (title, ...content) => {
  abandon();
  const heading = el("h1", { tabindex: "-1" }, title);
  place.replaceChildren(heading, ...content.filter(Boolean));
  document.title = `${title} - FountainAI`;
  status.textContent = "";
  heading.focus();
  scrollTo(0, 0);
};

// say tells something that went well.
export const say = (text) => {
  status.textContent = text;
};
