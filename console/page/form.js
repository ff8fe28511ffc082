// A form with labels, which shows errors of its fields and of its submission.

import { button, el, uniqueId } from "./dom.js";
import { sentence } from "./words.js";

// field makes a labelled input. clean changes what was typed before it is used; check returns what is wrong with it, or "".
export const field = ({ name, label, hint, clean = (text) => text, check = () => "", hidden = false, ...attributes }) => {
  const id = uniqueId(name);
  const input = el("input", { id, name, type: "text", autocapitalize: "none", spellcheck: "false", ...attributes });
  const error = el("p", { id: `${id}-error`, class: "error" });
  const help = hint && el("p", { id: `${id}-hint`, class: "hint" }, hint);
  input.setAttribute("aria-describedby", help ? `${help.id} ${error.id}` : error.id);
  const element = el("div", { class: "field" }, el("label", { for: id }, label), help, input, error);
  element.hidden = hidden;
  const tell = (text) => {
    error.textContent = text;
    input.setAttribute("aria-invalid", String(text !== ""));
  };
  return {
    name, element, tell,
    reveal: () => { element.hidden = false; },
    focus: () => input.focus(),
    get shown() { return !element.hidden; },
    get value() { return element.hidden ? "" : clean(input.value); },
    fault() { return element.hidden ? "" : this.value === "" ? `Fill in: ${label}.` : check(this.value); },
  };
};

// form makes a form. act gets the values by their names, and is asked for again after it has failed; others are further ways, as buttons.
export const form = ({ fields = [], label, act, others = [], before = [] }) => {
  const error = el("p", { class: "error", role: "alert" });
  const submit = el("button", { type: "submit", class: "primary" }, label);
  const fail = (problem) => {
    const blamed = fields.find((one) => one.shown && problem.errors?.some(({ pointer }) => pointer === `/${one.name}`));
    blamed?.tell(sentence(problem));
    error.textContent = blamed ? "" : sentence(problem);
    (blamed ?? fields.findLast((one) => one.shown) ?? submit).focus();
  };
  const send = async (event) => {
    event.preventDefault();
    if (made.getAttribute("aria-busy") === "true") return;
    error.textContent = "";
    for (const one of fields) one.tell(one.fault());
    const wrong = fields.find((one) => one.fault() !== "");
    if (wrong) return wrong.focus();
    made.setAttribute("aria-busy", "true");
    try {
      await act(Object.fromEntries(fields.map((one) => [one.name, one.value])));
    } catch (problem) {
      fail(problem);
    } finally {
      made.setAttribute("aria-busy", "false");
    }
  };
  const made = el("form", { method: "post", novalidate: true, onsubmit: send }, ...before, ...fields.map((one) => one.element), error,
    el("div", { class: "actions" }, submit, ...others));
  return made;
};

// cancel makes the button that leaves a form.
export const cancel = (act, label = "Cancel") => button(label, act);

// pressed makes a button whose act may fail, with the place where the error is shown.
export const pressed = (label, act, properties = {}) => {
  const error = el("p", { class: "error", role: "alert" });
  const made = button(label, async () => {
    if (made.getAttribute("aria-busy") === "true") return;
    error.textContent = "";
    made.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (problem) {
      error.textContent = sentence(problem);
    } finally {
      made.setAttribute("aria-busy", "false");
    }
  }, properties);
  return { made, error };
};
