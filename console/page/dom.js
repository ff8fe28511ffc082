// Builds what is shown. Text stays text: no module makes markup of a string, and the page's policy would refuse it.

// el makes an element. Properties are attributes; on... are listeners; booleans are attributes that are there or not.
export const el = (name, properties = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") made.toggleAttribute(key, value);
    else if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return made;
};

// button makes a button that does something in the page. What it can't do is for its own code to tell.
export const button = (label, act, properties = {}) => el("button", { type: "button", onclick: act, ...properties }, label);

let last = 0;

// uniqueId names an element for labels.
export const uniqueId = (stem) => `${stem}-${(last += 1)}`;
