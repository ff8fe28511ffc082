// The console: a person signs in, and finds the views that their token is good for.

import { render } from "preact";
import { useRef } from "preact/hooks";

import { closeAll } from "#page/dialog.js";
import { el } from "#page/dom.js";
import { say, show } from "#page/screen.js";
import { Session } from "#page/session.js";
import { signIn, signOutButton } from "#page/signin.js";
import { stepUp } from "#page/stepup.js";
import { sentence } from "#page/words.js";
import { me, use } from "./family.js";
import { address, useRoute } from "./route.js";
import { Frame } from "./view.js";
import { views } from "./views.js";

const place = (id: string): HTMLElement => document.getElementById(id)!;

const Console = () => {
  const { view: route, of } = useRoute();
  const main = useRef<HTMLElement>(null);
  const offered = views.filter(({ allowed }) => allowed(me()));
  const current = route === "" ? offered[0] : views.find((one) => one.route === route);
  const skip = (event: Event) => {
    event.preventDefault();
    main.current?.querySelector("h1")?.focus();
  };
  return <>
    <nav aria-label="Views">
      <a class="skip" href="#screen" onClick={skip}>Skip to content</a>
      <ul>{offered.map((one) => <li key={one.route}><a href={address(one.route)} onClick={() => say("")} aria-current={one === current ? "page" : undefined}>{one.title}</a></li>)}</ul>
      <ul class="others"><li><a href="/docs">API documentation</a></li><li><a href="/problems">Error codes</a></li><li><a href="/">Start page</a></li></ul>
    </nav>
    <main ref={main}>
      {!current ? <Frame title="View not found"><p>The address may belong to another version of the console.</p></Frame>
        : !offered.includes(current) ? <Frame title={current.title}><p>Your roles do not include access to this view. Ask an administrator.</p></Frame>
        : <current.Shown key={[current.route, ...of].join("/")} of={of} />}
    </main>
  </>;
};

// Each sign-in begins a run of the page; a run that was left does nothing more.
let run = 0;

/** Shows the views of the browser's session where there is one, else asks for a sign-in. */
const begin = async (notice?: string, username?: string, resumed?: Session): Promise<void> => {
  run += 1;
  closeAll();
  render(null, place("views"));
  place("views").hidden = true;
  place("screen").hidden = false;
  place("account").replaceChildren();
  const { session } = resumed ? { session: resumed } : await signIn({ notice, username });
  enter(session);
};

/** Shows the views to the person whose session it is. */
const enter = (session: Session): void => {
  const own = run, name = session.name;
  if (session.pending) {
    return show("Add a second factor first", el("p", {}, "Your account requires a second factor and has none yet. "), el("p", {}, el("a", { href: "/twofactor/v1/enroll" }, "Add one"), ", then return here."));
  }
  session.ended = (problem) => { if (own === run) void begin(sentence(problem), name); };
  session.prove = once(stepUp(session));
  use(session);
  place("account").replaceChildren(el("span", {}, `Signed in as ${name}`), signOut(session));
  place("screen").hidden = true;
  place("screen").replaceChildren();
  place("views").hidden = false;
  render(<Console />, place("views"));
};

const signOut = (session: Session): HTMLElement => signOutButton(session, (notice) => void begin(notice));

/** Calls that need a second factor for the same service at the same time wait for one. */
const once = (prove: (service: string) => Promise<void>) => {
  const open = new Map<string, Promise<void>>();
  return (service: string): Promise<void> => {
    const asked = open.get(service) ?? prove(service).finally(() => open.delete(service));
    open.set(service, asked);
    return asked;
  };
};

/** Goes on with the session that the browser has. */
const open = async (): Promise<void> => {
  try {
    await begin("", "", await Session.resume());
  } catch (problem) {
    await begin(sentence(problem));
  }
};

void open();
