// What all views have in common: a heading, which the focus goes to, and what is shown while it loads and when that fails.

import type { ComponentChildren, FunctionComponent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { say } from "#page/screen.js";
import type { Session } from "#page/session.js";
import { Trouble } from "./trouble.js";

/** A view: one file and one route. */
export interface View {
  route: string;
  title: string;
  /** Reports whether it is offered to a person. */
  allowed: (person: Session) => boolean;
  /** What it shows; of is the rest of the route. */
  Shown: FunctionComponent<{ of: string[] }>;
}

/** A view's frame. Its heading gets the focus when it is shown, so that a screen reader continues there. */
export const Frame = ({ title, children }: { title: string; children: ComponentChildren }) => {
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    document.title = `${title} - FountainAI`;
    heading.current?.focus();
    scrollTo(0, 0);
  }, [title]);
  return <><h1 ref={heading} tabIndex={-1}>{title}</h1>{children}</>;
};

export interface Loaded<T> {
  value?: T;
  problem?: unknown;
  /** Loads it again; what was there is shown until then. */
  reload: () => void;
}

/** Loads something when it is first shown, and when one of the keys changes. */
export const useLoaded = <T,>(load: () => Promise<T>, keys: unknown[] = []): Loaded<T> => {
  const [state, set] = useState<{ value?: T; problem?: unknown }>({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    let left = false;
    load().then((value) => { if (!left) set({ value }); }, (problem: unknown) => { if (!left) set({ problem }); });
    return () => { left = true; };
  }, [round, ...keys]);
  return { ...state, reload: () => setRound(round + 1) };
};

/** Shows what was loaded, or that it failed, with a way to try again. */
export const Show = <T,>({ loaded, children }: { loaded: Loaded<T>; children: (value: T) => ComponentChildren }) => {
  if (loaded.problem !== undefined) {
    return <><Trouble problem={loaded.problem} /><div class="actions"><button type="button" onClick={loaded.reload}>Try again</button></div></>;
  }
  return loaded.value === undefined ? <p class="hint">Loading ...</p> : <>{children(loaded.value)}</>;
};

/** The round of a view's lists, and a wrapper for a button's act that begins the next round when the act was done. */
export const useRound = (): [number, (act: () => Promise<boolean>) => () => Promise<void>] => {
  const [round, setRound] = useState(0);
  return [round, (act) => async () => { if (await act()) setRound((n) => n + 1); }];
};

/** Says what was done, and returns whether it was. */
export const announce = <T,>(done: { value: T } | undefined, text: (value: T) => string): boolean => {
  if (done) say(text(done.value));
  return done !== undefined;
};
