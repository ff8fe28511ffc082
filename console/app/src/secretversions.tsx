// The versions of a secret: which one readers get, which one waits, and what can be done with each. None is read to list them.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { ask, showBriefly } from "./ask.js";
import { family, me, take } from "./family.js";
import { Table } from "./listing.js";
import { all, from } from "./pages.js";
import { Show, announce, useLoaded } from "./view.js";

type Version = Schemas["kms"]["SecretVersion"];

const warning = "Make sure that nobody can see your screen. The value is hidden again after a minute, and the reading is in the audit trail.";

/** Shows the current value of a secret, when the person has confirmed that they want it on their screen. */
export const reveal = async (secretName: string): Promise<void> => {
  const got = await ask({
    title: `Show ${secretName}?`, label: "Show value", text: warning, act: () => take(family.kms.GET("/secrets/{secretName}", { params: { path: { secretName } } })),
  });
  if (got) await showBriefly(secretName, `Version ${got.value.version}, of ${moment(got.value.updatedAt)}.`, got.value.value);
};

const remains: Record<Schemas["kms"]["SecretDestruction"]["remains"][number], string> =
  { older_backups: "older backups, until they expire", write_ahead_log: "the database's log, until it is overwritten", free_space: "free space of the database, until it is overwritten" };

/** What is done with a version; each resolves with whether it was. */
const actionsOf = (secretName: string, current: number | undefined, version: number) => {
  const path = { secretName, secretVersion: String(version) };
  return {
    reveal: async () => {
      const got = await ask({
        title: `Show version ${version} of ${secretName}?`, label: "Show value", text: warning, act: () => take(family.kms.GET("/secrets/{secretName}/versions/{secretVersion}", { params: { path } })),
      });
      if (got) await showBriefly(secretName, `Version ${version}, of ${moment(got.value.createdAt)}.`, got.value.value);
    },
    promote: async () => announce(await ask({
      title: `Make version ${version} of ${secretName} current?`, label: "Make current",
      text: "Readers get it from now on; the current version becomes the previous one. If a rotation sets the value at another system, roll the rotation back instead: this changes nothing there.",
      act: () => take(family.kms.POST("/secrets/{secretName}/versions/{secretVersion}/promote", { params: { path, header: current === undefined ? {} : { "If-Match": `"${current}"` } } })),
    }), () => `Version ${version} is current now.`),
    remove: async () => announce(await ask({
      title: `Delete version ${version} of ${secretName}?`, label: "Delete", text: "It can't be read any more. It can be undeleted.",
      act: () => take(family.kms.DELETE("/secrets/{secretName}/versions/{secretVersion}", { params: { path } })),
    }), () => `Version ${version} deleted.`),
    undelete: async () => announce(await ask({
      title: `Undelete version ${version} of ${secretName}?`, label: "Undelete", text: "It can be read again.",
      act: () => take(family.kms.POST("/secrets/{secretName}/versions/{secretVersion}/undelete", { params: { path } })),
    }), () => `Version ${version} undeleted.`),
    destroy: async () => announce(await ask({
      title: `Destroy version ${version} of ${secretName}?`, label: "Destroy", text: "Its key and its sealed value are overwritten: it can't be decrypted any more. This can't be undone.",
      act: () => take(family.kms.POST("/secrets/{secretName}/versions/{secretVersion}/destroy", { params: { path } })),
    }), (done) => [`Version ${version} destroyed.`, ...(done.remains.length > 0 ? [`Sealed copies may remain in ${done.remains.map((one) => remains[one]).join("; ")}.`] : [])].join(" ")),
  };
};

const stateOf = ({ stage, deletedAt, destroyedAt }: Version) =>
  (destroyedAt ? <span class="off">destroyed {moment(destroyedAt)}</span> : deletedAt ? <span class="off">deleted {moment(deletedAt)}</span> : stage ?? "kept");

interface Listed {
  name: string;
  round: number;
  after: (act: () => Promise<boolean>) => () => Promise<void>;
  /** Stores a version after the current one; false where the person may not. */
  replace: false | ((current: number) => Promise<boolean>);
}

export const Versions = ({ name, round, after, replace }: Listed) => {
  const versions = useLoaded(() => all((cursor) => take(family.kms.GET("/secrets/{secretName}/versions", { params: { path: { secretName: name }, query: from(cursor) } }))), [name, round]);
  return <section aria-label="Versions"><Show loaded={versions}>{(items) => {
    const current = items.find(({ stage }) => stage === "current")?.version;
    return <>
      <h2>Versions</h2>
      <div class="actions">
        <button type="button" onClick={() => reveal(name)}>Show</button>
        {replace && current !== undefined && <button type="button" onClick={after(() => replace(current))}>Replace</button>}
      </div>
      <Table label="Versions" items={items} id={({ version }) => String(version)} columns={[
        { head: "Version", cell: ({ version }) => version }, { head: "State", cell: stateOf }, { head: "Created", cell: ({ createdAt }) => moment(createdAt) },
        { head: "Actions", cell: (one) => <Actions name={name} current={current} one={one} after={after} /> },
      ]} />
    </>;
  }}</Show></section>;
};

const Actions = ({ name, current, one, after }: { name: string; current: number | undefined; one: Version; after: Listed["after"] }) => {
  const { version, deletedAt, destroyedAt } = one, actions = actionsOf(name, current, version), may = me().can("secrets:write");
  if (destroyedAt) return null;
  return <div class="actions">
    {!deletedAt && <button type="button" aria-label={`Show version ${version}`} onClick={actions.reveal}>Show</button>}
    {may && one.stage !== "current" && <>
      {deletedAt ? <button type="button" aria-label={`Undelete version ${version}`} onClick={after(actions.undelete)}>Undelete</button> : <>
        <button type="button" aria-label={`Make current: version ${version}`} onClick={after(actions.promote)}>Make current</button>
        <button type="button" aria-label={`Delete version ${version}`} onClick={after(actions.remove)}>Delete</button></>}
      <button type="button" aria-label={`Destroy version ${version}`} onClick={after(actions.destroy)}>Destroy</button>
    </>}
  </div>;
};
