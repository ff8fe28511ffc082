// How the kms rotates a secret: its driver and schedule, the job that runs, and how the last one ended.

import type { Schemas } from "@fountainai/client";
import { Problem } from "#page/problem.js";
import { moment } from "#page/words.js";
import type { ComponentChildren } from "preact";
import { ask } from "./ask.js";
import { family, me, take } from "./family.js";
import type { Field, Given } from "./form.js";
import { Facts, Table } from "./listing.js";
import { Show, announce, useLoaded } from "./view.js";

type State = Schemas["kms"]["SecretRotation"];
type Plan = Schemas["kms"]["SecretRotationPut"];

/** A rotation, and what names its state in a write. */
interface Known {
  state: State;
  tag: string | null;
}

/** Returns how a secret is rotated; null where the kms does not. */
const load = async (secretName: string): Promise<Known | null> => {
  const call = family.kms.GET("/secrets/{secretName}/rotation", { params: { path: { secretName } } });
  try {
    return { state: await take(call), tag: (await call).response.headers.get("ETag") };
  } catch (cause) {
    if (cause instanceof Problem && cause.code === "not_found") return null;
    throw cause;
  }
};

const hour = 3600, day = 24 * hour; // seconds

const planFields = (state?: State): Field[] => [
  { name: "driver", label: "Where new values go", kind: "choice", value: state?.driver ?? "random", options: [{ value: "random", label: "nowhere else: readers read the secret" },
    { value: "webhook", label: "to your own rotator (webhook)" }, { value: "typesense", label: "to a Typesense, as a key" }] },
  { name: "intervalSeconds", label: "Days between rotations", kind: "number", optional: true, hint: "Empty: only on demand. At most 365.", value: state?.intervalSeconds ? String(state.intervalSeconds / day) : "" },
  { name: "length", label: "Characters", kind: "number", optional: true, hint: "Length of a new value, 6 bits per character. 43 when empty.", value: String(state?.length ?? "") },
  { name: "url", label: "Target", optional: true, maxLength: 300, hint: "For webhook: https://HOST/PATH. For Typesense: the base URL of its API. The operator must allow it.", value: state?.url ?? "" },
  { name: "credential", label: "Credential", optional: true, maxLength: 128, hint: "The name of the secret with which requests are signed (webhook), or with the admin key (Typesense).", value: state?.credential ?? "" },
  { name: "overlapSeconds", label: "Hours of overlap", kind: "number", optional: true, hint: "How long the previous version still works at the target. 24 when empty.", value: state?.overlapSeconds === undefined ? "" : String(state.overlapSeconds / hour) },
  { name: "collections", label: "Collections", kind: "area", optional: true, hint: "For Typesense, one per line: the collections that the key reaches.", value: state?.collections?.join("\n") ?? "" },
  { name: "actions", label: "Actions", kind: "area", optional: true, hint: "For Typesense, one per line. documents:search when empty.", value: state?.actions?.join("\n") ?? "" },
];

/** What was filled in; each driver has its own parts, and the kms says which are missing. */
const planOf = (given: Given): Plan => {
  const url = given.text("url").trim(), credential = given.text("credential").trim(), collections = given.words("collections"), actions = given.words("actions") as NonNullable<Plan["actions"]>;
  const interval = given.number("intervalSeconds"), overlap = given.number("overlapSeconds"), length = given.number("length");
  return {
    driver: given.text("driver") as Plan["driver"], ...(url && { url }), ...(credential && { credential }), ...(collections.length > 0 && { collections }), ...(actions.length > 0 && { actions }),
    ...(interval !== undefined && { intervalSeconds: Math.round(interval * day) }), ...(overlap !== undefined && { overlapSeconds: Math.round(overlap * hour) }), ...(length !== undefined && { length }),
  };
};

/** What is done about the rotation of a secret; each resolves with whether it was. */
const actionsOf = (secretName: string, known: Known | null) => {
  const path = { secretName };
  return {
    plan: async () => announce(await ask({
      title: `Rotation of ${secretName}`, label: "Set rotation", text: "The kms creates each new value, tests it at the target, and only then makes it current.", fields: planFields(known?.state),
      act: (given) => take(family.kms.PUT("/secrets/{secretName}/rotation", { params: { path, header: known?.tag ? { "If-Match": known.tag } : {} }, body: planOf(given) })),
    }), () => `Rotation of ${secretName} set.`),
    start: async () => announce(await ask({
      title: `Rotate ${secretName} now?`, label: "Rotate", text: "A new value is created, set at the target, tested, and made current. Readers that follow the secret lose no request.",
      act: () => take(family.kms.POST("/secrets/{secretName}/rotate", { params: { path } })),
    }), () => `Rotation of ${secretName} started.`),
    rollBack: async () => announce(await ask({
      title: `Roll ${secretName} back?`, label: "Roll back", text: "The previous version is set at the target, tested, and made current again. The current version becomes the previous one.",
      act: () => take(family.kms.POST("/secrets/{secretName}/rotation/rollback", { params: { path } })),
    }), () => `Rollback of ${secretName} started.`),
    stop: async () => announce(await ask({
      title: `Stop rotating ${secretName}?`, label: "Stop rotating", leave: "Continue rotating", text: "A running rotation is abandoned. Values at the target that are not current stop working there. The versions remain.",
      act: () => take(family.kms.DELETE("/secrets/{secretName}/rotation", { params: { path } })),
    }), () => `${secretName} is no longer rotated.`),
  };
};

const drivers: Record<State["driver"], string> = { random: "nowhere else", webhook: "to a rotator", typesense: "to a Typesense" };

const faults: Record<NonNullable<State["lastError"]>, string> = {
  refused_target: "the operator does not allow the target", no_answer: "the target did not answer", answer_too_large: "the target's answer was too large", rejected: "the target refused it",
  no_credential: "the credential can't be read", internal: "the kms failed; its log says more",
};

const factsOf = ({ driver, url, credential, length, intervalSeconds, overlapSeconds, nextAt, state, pendingVersion, attempts, startedAt, lastError, lastOutcome, lastVersion, lastEndedAt }: State): [string, ComponentChildren][] => [
  ["New values go", [drivers[driver], url].filter(Boolean).join(": ")], ...(credential ? [["Credential", <code>{credential}</code>] as [string, ComponentChildren]] : []),
  ["Schedule", intervalSeconds ? `every ${intervalSeconds / day} days${nextAt ? `, next ${moment(nextAt)}` : ""}` : "on demand"],
  ["Value", `${length ?? 43} characters`], ...(overlapSeconds !== undefined && driver !== "random" ? [["Overlap", `${overlapSeconds / hour} hours`] as [string, string]] : []),
  ["Now", state === "idle" ? "idle" : `at the step ${state}${pendingVersion ? ` of version ${pendingVersion}` : ""}, ${attempts} attempts${startedAt ? `, since ${moment(startedAt)}` : ""}`],
  ["Last rotation", lastOutcome ? <span class={lastOutcome === "failed" ? "off" : ""}>{`${lastOutcome}${lastVersion ? `: version ${lastVersion}` : ""}${lastEndedAt ? `, ${moment(lastEndedAt)}` : ""}`}</span> : "none yet"],
  ...(lastError ? [["Last fault", <span class="off">{faults[lastError]}</span>] as [string, ComponentChildren]] : []),
];

export const Rotation = ({ name, round, after }: { name: string; round: number; after: (act: () => Promise<boolean>) => () => Promise<void> }) => {
  const rotation = useLoaded(() => load(name), [name, round]);
  const may = me().can("secrets:write");
  return <section aria-label="Rotation"><h2>Rotation</h2><Show loaded={rotation}>{(known) => {
    const actions = actionsOf(name, known);
    if (!known) return <><p>The kms does not rotate this secret.</p>{may && <div class="actions"><button type="button" onClick={after(actions.plan)}>Set up rotation</button></div>}</>;
    const ending = known.state.ending ?? [];
    return <>
      <Facts facts={factsOf(known.state)} />
      {ending.length > 0 && <Table label="Versions that still work outside" items={ending} id={({ version }) => String(version)} columns={[
        { head: "Version", cell: ({ version }) => version }, { head: "Ended there", cell: ({ at }) => moment(at) }, { head: "Attempts", cell: ({ attempts }) => attempts },
        { head: "Fault", cell: ({ lastError }) => lastError && <span class="off">{faults[lastError]}</span> },
      ]} />}
      <div class="actions">
        {may && <>
          <button type="button" onClick={after(actions.start)}>Rotate now</button>
          <button type="button" onClick={after(actions.rollBack)}>Roll back</button>
          <button type="button" onClick={after(actions.plan)}>Update rotation</button>
          <button type="button" onClick={after(actions.stop)}>Stop rotating</button>
        </>}
        <button type="button" onClick={after(async () => true)}>Refresh</button>
      </div>
    </>;
  }}</Show></section>;
};
