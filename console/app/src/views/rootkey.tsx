// The root key: which one seals, how far a rotation is, and what every replica of the kms has in its files. The keys themselves are in no answer and in no form.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { ask } from "../ask.js";
import { family, me, take } from "../family.js";
import { Facts, Table } from "../listing.js";
import { Frame, Show, announce, useLoaded, useRound, type View } from "../view.js";

type RootKey = Schemas["kms"]["RootKey"];

const rotate = async (): Promise<boolean> => announce(await ask({
  title: "Rotate the root key?", label: "Rotate",
  text: "The root key that is now in the files becomes active. Everything that the previous one has sealed is sealed again in the background. No request fails. Keep the previous key: older backups can only be opened with it.",
  act: () => take(family.kms.POST("/root-key/rotate")),
}), ({ active }) => `${active} is the active root key now.`);

const stateText = ({ state, remaining }: RootKey): string => (state === "idle" ? "everything is sealed with the active key" : `sealing again: ${remaining} left`);

const Known = ({ one }: { one: RootKey }) => <>
  <Facts facts={[
    ["Active", <code>{one.active}</code>], ["Before", one.previous ? <code>{one.previous}</code> : "none"], ["In the file", one.inFile ? <code>{one.inFile}</code> : <span class="off">refused</span>],
    ["State", stateText(one)], ["Sealed", one.sealed], ["Rotated", one.rotatedAt ? moment(one.rotatedAt) : "never"],
    ...(one.finishedAt ? [["Finished", moment(one.finishedAt)] as [string, string]] : []),
  ]} />
  {one.state === "idle" && one.inFile === one.active && <p class="notice">To rotate it, put a new key into the file at every replica first: <code>fountain keygen --replace FILE</code> there. This can't be done in a browser.</p>}
  <Table label="Replicas" items={one.replicas} id={({ replica }) => replica} columns={[
    { head: "Replica", cell: ({ replica }) => <code>{replica}</code> },
    { head: "Keys in its files", cell: ({ rootKeys }) => <code>{rootKeys.join(", ")}</code> },
    { head: "Fault", cell: ({ fault }) => (fault ? <span class="off">{fault}</span> : "none") },
    { head: "Seen", cell: ({ seenAt }) => moment(seenAt) },
  ]} />
</>;

const Root = () => {
  const [round, after] = useRound();
  const state = useLoaded(() => take(family.kms.GET("/root-key")), [round]);
  return <Frame title="Root key">
    <p>It seals every other key and every secret. It is in a file on the machine of each kms, and is shown here by its ID, which reveals nothing of the key.</p>
    <div class="actions">
      {me().can("root-key:write") && <button type="button" onClick={after(rotate)}>Rotate</button>}
      <button type="button" onClick={after(async () => true)}>Refresh</button>
    </div>
    <Show loaded={state}>{(one) => <Known one={one} />}</Show>
  </Frame>;
};

export const rootKey: View = { route: "root-key", title: "Root key", allowed: (person) => person.can("root-key:read"), Shown: Root };
