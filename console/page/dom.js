// Builds elements. Text stays text: no module creates markup from a string, and the page's policy would refuse it.

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

// button creates a button that acts in the page. Its own code reports failures.
export const button = (label, act, properties = {}) => el("button", { type: "button", onclick: act, ...properties }, label);

let last = 0;

// uniqueId names an element for labels.
export const uniqueId = (stem) => `${stem}-${(last += 1)}`;
