// Dialogs for confirmations, and for values that are shown once. They use the dialog of all pages, which closes by Escape and gives the
// focus back.

import { render, type ComponentChildren, type VNode } from "preact";

import { open } from "#page/dialog.js";
import { el } from "#page/dom.js";
import { Problem } from "#page/problem.js";
import { say } from "#page/screen.js";
import { useState } from "preact/hooks";
import { Form, type Field, type Given } from "./form.js";
import { Trouble } from "./trouble.js";

/** Shows a dialog, and resolves with what it was closed with; undefined if the person cancelled. */
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
  /** What the action does, above all if it can't be undone. */
  text?: string;
  /** What is shown below the text, for example the effect. */
  shows?: ComponentChildren;
  fields?: Field[];
  label: string;
  /** The label of the cancel button, if "Cancel" could be mistaken for the action. */
  leave?: string;
  act: (given: Given) => Promise<T>;
}

/** Asks for confirmation and then acts; errors are shown in the dialog. Resolves with the result in an object; undefined if the person cancelled. */
export const ask = <T,>({ title, text, shows, fields, label, leave, act }: Question<T>): Promise<{ value: T } | undefined> => dialog<{ value: T }>(title, (close) =>
  <Form {...(fields && { fields })} label={label} {...(leave && { leave })} cancel={() => close()} act={async (given) => close({ value: await act(given) })}>
    {text && <p>{text}</p>}
    {shows}
  </Form>);

/** Shows a secret value that usually can't be shown again, until the person has saved it: Escape does not close it, and the browser asks before it leaves the page. */
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

/** Shows a value that can be shown again. It disappears with the dialog, with the view, and after a minute. */
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
