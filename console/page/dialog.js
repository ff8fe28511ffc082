// A dialog over the page. The browser keeps the focus in it, gives it back afterwards to the control that had it, and closes it by Escape.

import { el, uniqueId } from "./dom.js";
import { abandon } from "./passkey.js";

// closeAll closes all open dialogs, as Escape does, when the view that they belong to is left.
export const closeAll = () => {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
};

// open shows a dialog and resolves when it was closed: with what content's function was closed with, or undefined if the person cancelled.
export const open = (title, content) => new Promise((resolve) => {
  const id = uniqueId("dialog");
  let result;
  const dialog = el("dialog", { class: "form", "aria-labelledby": id, onclose: () => { abandon(); dialog.remove(); resolve(result); } }, el("h2", { id }, title));
  const close = (value) => {
    result = value;
    dialog.close();
  };
  dialog.append(...content(close));
  document.body.append(dialog);
  dialog.showModal();
});
