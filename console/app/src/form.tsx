// A form with labels. It shows why its act failed, at the field where that is known.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { uniqueId } from "#page/dom.js";
import { Problem } from "#page/problem.js";
import { Trouble } from "./trouble.js";

export interface Field {
  /** The name in the body of the request, to which refusals refer. */
  name: string;
  label: string;
  hint?: string;
  /** many: checkboxes; hidden: for password managers; "text" when absent. */
  kind?: "text" | "hidden" | "password" | "area" | "choice" | "many" | "number" | "time";
  options?: { value: string; label: string }[];
  value?: string | string[];
  optional?: boolean;
  autocomplete?: string;
  maxLength?: number;
}

/** What was typed, by the fields' names. */
export class Given {
  constructor(private readonly data: FormData) {}

  text(name: string): string {
    return String(this.data.get(name) ?? "");
  }

  all(name: string): string[] {
    return this.data.getAll(name).map(String);
  }

  /** The words of a field, separated by lines or spaces. */
  words(name: string): string[] {
    return this.text(name).split(/\s+/).filter(Boolean);
  }

  /** The number of a field; undefined where it was left empty. */
  number(name: string): number | undefined {
    const text = this.text(name).trim();
    return text === "" ? undefined : Number(text);
  }
}

interface Asked {
  fields?: Field[];
  label: string;
  /** The label of the cancel button; "Cancel" when absent. */
  leave?: string;
  act: (given: Given) => Promise<void>;
  /** Cancels the form; absent if the form is part of a view. */
  cancel?: () => void;
  children?: ComponentChildren;
}

export const Form = ({ fields = [], label, leave = "Cancel", act, cancel, children }: Asked) => {
  const form = useRef<HTMLFormElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const [wrong, setWrong] = useState<Record<string, string>>({});
  const first = Object.keys(wrong)[0];
  useLayoutEffect(() => {
    if (first) form.current?.querySelector<HTMLElement>(`[name="${first}"]`)?.focus();
  }, [wrong]);

  const send = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    const given = new Given(new FormData(form.current!));
    const missing = fields.filter((one) => !one.optional && given.all(one.name).every((text) => text === ""));
    setWrong(Object.fromEntries(missing.map((one) => [one.name, one.kind === "many" ? `Choose at least one: ${one.label}.` : `Fill in: ${one.label}.`])));
    setProblem(undefined);
    if (missing.length > 0) return;
    setBusy(true);
    try {
      await act(given);
    } catch (cause) {
      setProblem(cause);
      if (cause instanceof Problem) setWrong(fieldErrors(cause, fields));
    } finally {
      setBusy(false);
    }
  };
  return <form ref={form} method="post" noValidate aria-busy={busy} onSubmit={send}>
    {children}
    {fields.map((one) => <Input key={one.name} field={one} wrong={wrong[one.name]} />)}
    {problem !== undefined && <Trouble problem={problem} shown={Object.keys(wrong)} />}
    <div class="actions"><button type="submit" class="primary">{label}</button>{cancel && <button type="button" onClick={cancel}>{leave}</button>}</div>
  </form>;
};

/** Reads a field that contains JSON; a text that is not JSON is reported at the field. */
export const json = (given: Given, name: string): unknown => {
  try {
    return JSON.parse(given.text(name));
  } catch {
    throw new Problem({ code: "not_json", errors: [{ pointer: `/${name}`, message: "is not valid JSON" }] });
  }
};

/** The errors of each field in a refusal. A pattern is for programs: people see the field's hint instead. */
const fieldErrors = (problem: Problem, fields: Field[]): Record<string, string> => Object.fromEntries((problem.errors ?? [])
  .flatMap(({ pointer = "", message }) => fields.filter(({ name }) => pointer === `/${name}` || pointer.startsWith(`/${name}/`))
    .map(({ name, hint }) => [name, hint && message.startsWith("must match ") ? `This is not valid: ${hint}` : `This ${message}.`])));

const Input = ({ field, wrong }: { field: Field; wrong: string | undefined }) => {
  const [id] = useState(() => uniqueId("field")); // useId begins anew in each dialog, whose labels would name fields of the view behind it
  const about = { "aria-describedby": `${id}-hint ${id}-error`, "aria-invalid": wrong !== undefined };
  const error = <><p id={`${id}-error`} class="error">{wrong}</p></>;
  const hint = <p id={`${id}-hint`} class="hint">{field.hint}</p>;
  if (field.kind === "many") {
    const chosen = field.value ?? [];
    return <fieldset class="field" {...about}>
      <legend>{field.label}</legend>{hint}
      <div class="boxes">{field.options?.map(({ value, label }, at) => <p key={value} class="check">
        <input type="checkbox" id={`${id}-${at}`} name={field.name} value={value} defaultChecked={chosen.includes(value)} /> <label for={`${id}-${at}`}>{label}</label>
      </p>)}</div>{error}
    </fieldset>;
  }
  if (field.kind === "hidden") return <input type="text" hidden readOnly name={field.name} autocomplete={field.autocomplete} defaultValue={String(field.value)} />;
  const common = { id, name: field.name, ...about, spellcheck: false, autocapitalize: "none" as const, autocomplete: field.autocomplete ?? "off", maxLength: field.maxLength ?? 1024 };
  const value = String(field.value ?? "");
  return <div class="field">
    <label for={id}>{field.label}</label>{field.hint && hint}
    {field.kind === "area" && <textarea {...common} rows={4} defaultValue={value} />}
    {field.kind === "choice" && <select id={id} name={field.name} {...about}>
      {field.options?.map((one) => <option key={one.value} value={one.value} selected={one.value === value}>{one.label}</option>)}
    </select>}
    {field.kind === "password" && <input {...common} type="password" defaultValue={value} />}
    {field.kind === "time" && <input {...common} type="datetime-local" defaultValue={value} />}
    {field.kind === "number" && <input {...common} type="number" defaultValue={value} />}
    {(field.kind ?? "text") === "text" && <input {...common} type="text" defaultValue={value} />}
    {error}
  </div>;
};
