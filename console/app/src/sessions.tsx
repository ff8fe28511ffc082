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

export const Sessions = ({ userId, name }: { userId: string; name: string }) => {
  const [round, setRound] = useState(0);
  const path = { userId };
  const changed = (text: string) => {
    say(text);
    setRound(round + 1);
  };
  const end = async (session: Session) => {
    const done = await ask({
      title: session.current ? "Sign out here?" : "End this session?", label: "End it",
      text: `Begun ${moment(session.createdAt)}. All its tokens are refused from then on; ${session.current ? "you" : "whoever has it"} must sign in again.`,
      act: () => take(family.kms.DELETE("/users/{userId}/sessions/{sessionId}", { params: { path: { ...path, sessionId: session.id } } })),
    });
    if (done) changed("The session has ended.");
  };
  const endAll = async () => {
    const done = await ask({
      title: `End all sessions of ${name}?`, label: "End all", text: "Every browser and program that is signed in must sign in again. API keys stay.",
      act: () => take(family.kms.DELETE("/users/{userId}/sessions", { params: { path } })),
    });
    if (done) changed(`${done.value.revoked} sessions have ended.`);
  };
  return <section aria-label="Sessions">
    <h2>Sessions</h2>
    <Listing<Session> label="Sessions" of={round} id={({ id }) => id} none="There are none."
      load={(cursor) => take(family.kms.GET("/users/{userId}/sessions", { params: { path, query: from(cursor) } }))}
      columns={[
        { head: "Begun", cell: ({ createdAt, current }) => <>{moment(createdAt)}{current && " (this one)"}</> },
        { head: "Client", cell: ({ clientId }) => clientId },
        { head: "Ends", cell: ({ expiresAt }) => moment(expiresAt) },
        { head: "Actions", cell: (one) => <button type="button" aria-label={`End the session of ${moment(one.createdAt)}${one.current ? " (this one)" : ""}`} onClick={() => end(one)}>End</button> },
      ]} />
    <div class="actions"><button type="button" onClick={endAll}>End all sessions</button></div>
  </section>;
};
