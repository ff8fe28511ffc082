// The element of the page that shows one step after the other. Each step's heading gets the focus, so that a screen reader continues there.

import { el } from "./dom.js";
import { abandon } from "./passkey.js";

const place = document.getElementById("screen");
const status = document.getElementById("status");

// show replaces the current step.
export const show = (title, ...content) => {
  abandon();
  const heading = el("h1", { tabindex: "-1" }, title);
  place.replaceChildren(heading, ...content.filter(Boolean));
  document.title = `${title} - FountainAI`;
  status.textContent = "";
  heading.focus();
  scrollTo(0, 0);
};

// say shows a message of success.
export const say = (text) => {
  status.textContent = text;
};
