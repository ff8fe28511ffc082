// The web apps that a person has allowed to sign them in, and how to take that back.

import type { Schemas } from "@fountainai/client";
import { meaning, moment } from "#page/words.js";
import { say } from "#page/screen.js";
import { ask } from "./ask.js";
import { family, me, take } from "./family.js";
import { Listing } from "./listing.js";
import { from } from "./pages.js";

type Consent = Schemas["kms"]["Consent"];

/** done says that something was withdrawn: sessions of the app ended with it. round is of the whole view. */
export const Consents = ({ round, done }: { round: number; done: () => void }) => {
  const withdraw = async ({ client }: Consent) => {
    const withdrawn = await ask({
      title: `Withdraw consent for ${client.name}?`, label: "Withdraw",
      text: "The app is signed out of your account at once. The next time you sign in there, you are asked again.",
      act: () => take(family.kms.DELETE("/users/{userId}/consents/{clientId}", { params: { path: { userId: me().subject, clientId: client.id } } })),
    });
    if (!withdrawn) return;
    say(`Consent for ${client.name} withdrawn.`);
    done();
  };
  return <section aria-label="Web apps">
    <h2>Web apps</h2>
    <Listing<Consent> label="Web apps" of={round} id={({ client }) => client.id} none="You have not given consent to any web app."
      load={(cursor) => take(family.kms.GET("/users/{userId}/consents", { params: { path: { userId: me().subject }, query: from(cursor) } }))}
      columns={[
        { head: "Name", cell: ({ client }) => client.name },
        { head: "Allowed", cell: ({ scopes }) => <ul>{scopes.map((scope) => <li key={scope}>{meaning(scope)}</li>)}</ul> },
        { head: "Since", cell: ({ updatedAt }) => moment(updatedAt) },
        { head: "Actions", cell: (one) => <button type="button" aria-label={`Withdraw consent for ${one.client.name}`} onClick={() => withdraw(one)}>Withdraw</button> },
      ]} />
  </section>;
};
