// A person's sessions, and how to end them.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { say } from "#page/screen.js";
import { ask } from "./ask.js";
import { family, take } from "./family.js";
import { Listing } from "./listing.js";
import { from } from "./pages.js";
import { useState } from "preact/hooks";

type Session = Schemas["kms"]["Session"];

const browsers: [RegExp, string][] = [[/ Edg\//, "Edge"], [/ OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrome\//, "Chrome"], [/Safari\//, "Safari"]];
const systems: [RegExp, string][] = [[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS X/, "macOS"], [/Linux/, "Linux"]];

const named = (agent: string, names: [RegExp, string][]): string => names.find(([mark]) => mark.test(agent))?.[1] ?? "unknown";

/** Says what has a session, by what it called itself: a web app by its name, a browser, the command line or another program. */
export const client = ({ clientName, userAgent = "" }: Session): string => {
  if (clientName) return `Web app ${clientName}`;
  if (userAgent.startsWith("Mozilla/")) return `${named(userAgent, browsers)} on ${named(userAgent, systems)}`;
  if (userAgent.startsWith("fountain-cli/")) return "Command line";
  return userAgent || "unknown";
};

export const Sessions = ({ userId, name }: { userId: string; name: string }) => {
  const [round, setRound] = useState(0);
  const path = { userId };
  const changed = (text: string) => {
    say(text);
    setRound(round + 1);
  };
  const end = async (session: Session) => {
    const done = await ask({
      title: session.current ? "Sign out here?" : "Revoke this session?", label: "Revoke",
      text: `Started ${moment(session.createdAt)}. Its tokens stop working at once; ${session.current ? "you" : "whoever uses it"} must sign in again.`,
      act: () => take(family.kms.DELETE("/users/{userId}/sessions/{sessionId}", { params: { path: { ...path, sessionId: session.id } } })),
    });
    if (done) changed("Session revoked.");
  };
  const endAll = async () => {
    const done = await ask({
      title: `Revoke all sessions of ${name}?`, label: "Revoke all", text: "Every browser and program that is signed in must sign in again. API keys remain valid.",
      act: () => take(family.kms.DELETE("/users/{userId}/sessions", { params: { path } })),
    });
    if (done) changed(`${done.value.revoked} sessions revoked.`);
  };
  return <section aria-label="Sessions">
    <h2>Sessions</h2>
    <Listing<Session> label="Sessions" of={round} id={({ id }) => id} none="No sessions."
      load={(cursor) => take(family.kms.GET("/users/{userId}/sessions", { params: { path, query: from(cursor) } }))}
      columns={[
        { head: "Started", cell: ({ createdAt, current }) => <>{moment(createdAt)}{current && " (this one)"}</> },
        { head: "Client", cell: client },
        { head: "Expires", cell: ({ expiresAt }) => moment(expiresAt) },
        { head: "Actions", cell: (one) => <button type="button" aria-label={`Revoke the session of ${moment(one.createdAt)}${one.current ? " (this one)" : ""}`} onClick={() => end(one)}>Revoke</button> },
      ]} />
    <div class="actions"><button type="button" onClick={endAll}>Revoke all sessions</button></div>
  </section>;
};
