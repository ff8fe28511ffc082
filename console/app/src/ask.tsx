// Dialogs: what is asked before something is done, and what is shown once afterwards. The dialog is that of all pages; it closes by Escape and gives the
// focus back.

import { render, type ComponentChildren, type VNode } from "preact";

import { open } from "#page/dialog.js";
import { el } from "#page/dom.js";
import { Problem } from "#page/problem.js";
import { say } from "#page/screen.js";
import { useState } from "preact/hooks";
import { Form, type Field, type Given } from "./form.js";
import { Trouble } from "./trouble.js";

/** Shows a dialog, and resolves with what it was closed with; undefined when the person left. */
const dialog = async <T,>(title: string, content: (close: (value?: T) => void) => VNode): Promise<T | undefined> => {
  const place = el("div");
  try {
    return await open<T>(title, (close) => {
      render(content(close), place);
      return [place];
    });
  } finally {
    render(null, place);
  }
};

interface Question<T> {
  title: string;
  /** What it does, above all when that can't be undone. */
  text?: string;
  /** What stands below the text: what would be done, for example. */
  shows?: ComponentChildren;
  fields?: Field[];
  label: string;
  /** The button of the way out, where "Cancel" could be taken for what is asked. */
  leave?: string;
  act: (given: Given) => Promise<T>;
}

/** Asks, and acts when the person wants it; what the act fails with is shown in the dialog. Resolves with what it gave, in an object; undefined when the person left. */
export const ask = <T,>({ title, text, shows, fields, label, leave, act }: Question<T>): Promise<{ value: T } | undefined> => dialog<{ value: T }>(title, (close) =>
  <Form {...(fields && { fields })} label={label} {...(leave && { leave })} cancel={() => close()} act={async (given) => close({ value: await act(given) })}>
    {text && <p>{text}</p>}
    {shows}
  </Form>);

/** Shows a value that is not for every eye, and that usually can't be had again, until the person has kept it: Escape does not lose it, and the browser asks before it leaves the page. */
export const showOnce = async (title: string, text: string, value: string): Promise<void> => {
  const hold = (event: Event): void => event.preventDefault();
  addEventListener("beforeunload", hold);
  try {
    while (!(await dialog<boolean>(title, (close) => <Once text={text} value={value} label="I have saved it" close={() => close(true)} />)));
  } finally {
    removeEventListener("beforeunload", hold);
  }
};

/** Shows more of something, until the person closes it. */
export const showMore = (title: string, shows: ComponentChildren): Promise<unknown> =>
  dialog(title, (close) => <>{shows}<div class="actions"><button type="button" class="primary" onClick={() => close()}>Close</button></div></>);

const brief = 60_000; // milliseconds

/** Shows a value that can be had again: it goes with the dialog, with the view, and by itself after a minute. */
export const showBriefly = async (title: string, text: string, value: string): Promise<void> => {
  let ends = 0;
  await dialog<boolean>(title, (close) => {
    ends = setTimeout(close, brief);
    return <Once text={text} value={value} label="Close" close={() => close()} />;
  });
  clearTimeout(ends);
};

const Once = ({ text, value, label, close }: { text: string; value: string; label: string; close: () => void }) => {
  const [problem, setProblem] = useState<unknown>();
  const copy = () => navigator.clipboard.writeText(value).then(() => say("Copied."), () => setProblem(new Problem({ code: "copy_failed" })));
  return <>
    <p>{text}</p>
    <p><code class="secret" tabIndex={0}>{value}</code></p>
    {problem !== undefined && <Trouble problem={problem} />}
    <div class="actions"><button type="button" class="primary" onClick={close}>{label}</button><button type="button" onClick={copy}>Copy</button></div>
  </>;
};
