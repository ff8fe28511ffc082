// The audit trail of the kms: who did what, whether the trail is intact, and its export.

import type { Schemas } from "@fountainai/client";
import { moment } from "#page/words.js";
import { say } from "#page/screen.js";
import { useState } from "preact/hooks";
import { ask, showMore } from "../ask.js";
import { readLines, save } from "../download.js";
import { family, take } from "../family.js";
import { Form, json, type Field, type Given } from "../form.js";
import { Facts, Listing } from "../listing.js";
import { from } from "../pages.js";
import { Trouble } from "../trouble.js";
import { Frame, type View } from "../view.js";

type Event = Schemas["kms"]["AuditEvent"];
type Report = Schemas["kms"]["AuditReport"];
type Checkpoint = Schemas["kms"]["AuditCheckpoint"];

interface Filter {
  action?: string;
  actor?: string;
  target?: string;
  outcome?: Event["outcome"];
  from?: string;
  to?: string;
}

const filters: Field[] = [
  { name: "action", label: "Action", hint: "The operation, for example getSecret.", optional: true, maxLength: 64 },
  { name: "actor", label: "Actor", hint: "The ID of who did it.", optional: true, maxLength: 64 },
  { name: "target", label: "Target", hint: "The ID or name of what it was done to.", optional: true, maxLength: 255 },
  { name: "outcome", label: "Outcome", kind: "choice", optional: true, options: [{ value: "", label: "any" }, { value: "ok", label: "ok" }, { value: "denied", label: "denied" }, { value: "failed", label: "failed" }] },
  { name: "from", label: "From", kind: "time", optional: true },
  { name: "to", label: "Before", kind: "time", optional: true },
];

/** What was filled in; times are the person's own. */
const filterOf = (given: Given): Filter => {
  const words = (["action", "actor", "target", "outcome"] as const).map((name) => [name, given.text(name).trim()]);
  const times = (["from", "to"] as const).map((name) => [name, given.text(name) && new Date(given.text(name)).toISOString()]);
  return Object.fromEntries([...words, ...times].filter(([, text]) => text)) as Filter;
};

const reasons: Record<NonNullable<Report["reason"]>, string> = {
  event: "it was changed, moved, added or removed", tail: "events at the end were removed or added", head: "the row that says where the trail ends was changed",
  key: "a key of the trail was changed or removed, or can't be opened", base: "the row that says where the trail begins was changed",
  checkpoint: "the trail does not match the checkpoint",
};

/** Says what a verification has found. */
const verdict = ({ intact, after, checked, unkeyed, firstBreak, reason }: Report): string => {
  const events = `${checked} events${after > 0 ? ` after ${after}` : ""}`;
  if (intact) return `The audit trail is intact: ${events} are intact${unkeyed > 0 ? `, ${unkeyed} of them from a version without a key` : ""}.`;
  return `The audit trail is not intact. After ${events} that are intact${firstBreak ? `, event ${firstBreak} is not` : ""}: ${reason ? reasons[reason] : "the cause is unknown"}.`;
};

const verify = () => ask({
  title: "Verify the audit trail", label: "Verify", text: "Every event is checked against the key of the trail. A checkpoint that was kept elsewhere shows whether an older state of the trail was restored.",
  fields: [{ name: "checkpoint", label: "Checkpoint", kind: "area", optional: true, maxLength: 4096, hint: "The JSON from Sign checkpoint, a log line or an export." },
    { name: "after", label: "Scope", kind: "many", optional: true, options: [{ value: "true", label: "only what follows the checkpoint" }] }],
  act: (given) => take(family.kms.POST("/audit/verify", {
    body: { ...(given.text("checkpoint").trim() && { checkpoint: json(given, "checkpoint") as Checkpoint }), ...(given.all("after").length > 0 && { after: true }) },
  })),
});

const exportTrail = async (): Promise<void> => {
  const read = await ask({
    title: "Export the audit trail", label: "Export", text: "NDJSON, oldest first, with a signed checkpoint at its end. fountain audit verify --file checks it with the public key alone.",
    fields: [{ name: "after", label: "After event", kind: "number", value: "0" }, { name: "limit", label: "Events", kind: "number", value: "100000", hint: "At most. Export a longer trail in parts, or use the command line." }],
    act: async (given) => {
      const query = { after: Number(given.text("after")), limit: Number(given.text("limit")) };
      const body = await take(family.kms.GET("/audit/export", { params: { query }, parseAs: "stream", headers: { Accept: "application/x-ndjson, application/problem+json" } }));
      return { after: query.after, ...await readLines(body, ({ kind }) => kind === "checkpoint") };
    },
  });
  if (!read) return;
  save(`audit-after-${read.value.after}.ndjson`, read.value.file);
  say(`${read.value.count - 2} events exported.`); // the first and last line are not events
};

/** Shows all of an event. */
const details = ({ seq, at, action, outcome, actorKind, actor, target, address, requestId, detail = {} }: Event) => showMore(`Event ${seq}`, <Facts facts={[
  ["When", moment(at)], ["Action", `${action}: ${outcome}`], ["Actor", `${actorKind} ${actor}`], ["Target", target], ["Address", address ?? "none"], ["Request", <code>{requestId}</code>], ...Object.entries(detail),
]} />);

const Audit = () => {
  const [filter, setFilter] = useState<Filter>({});
  const [report, setReport] = useState<Report>();
  const [checkpoint, setCheckpoint] = useState<Checkpoint>();
  const [problem, setProblem] = useState<unknown>();
  const check = async () => {
    const done = await verify();
    if (done) setReport(done.value);
  };
  const sign = () => take(family.kms.GET("/audit/checkpoint")).then((signed) => {
    setProblem(undefined);
    setCheckpoint(signed);
    say(`Checkpoint at event ${signed.seq} signed.`);
  }, setProblem);
  return <Frame title="Audit trail">
    <p>What was done at the kms, by whom, and what was refused. Other services have their own trails.</p>
    <div class="actions"><button type="button" onClick={check}>Verify</button><button type="button" onClick={sign}>Sign checkpoint</button><button type="button" onClick={exportTrail}>Export</button></div>
    {problem !== undefined && <Trouble problem={problem} />}
    {report && <p role="status" class="notice"><span class={report.intact ? "" : "off"}>{verdict(report)}</span></p>}
    {checkpoint && <section aria-label="Checkpoint"><h2>Checkpoint</h2><p>Keep it elsewhere, and give it to Verify later.</p><pre tabIndex={0}>{JSON.stringify(checkpoint, null, 2)}</pre></section>}
    <section aria-label="Events"><h2>Events</h2>
      <details><summary>Filter</summary><Form label="Filter events" fields={filters} act={async (given) => setFilter(filterOf(given))} /></details>
      <Listing<Event> label="Events" of={filter} id={({ seq }) => String(seq)} none="No matching events."
        load={(cursor) => take(family.kms.GET("/audit/events", { params: { query: { ...from(cursor), ...filter } } }))}
        columns={[
          { head: "Event", cell: ({ seq, at }) => <>{seq}<br />{moment(at)}</> },
          { head: "Action", cell: ({ action, outcome }) => <>{action}<br /><span class={outcome === "ok" ? "" : "off"}>{outcome}</span></> },
          { head: "Actor", cell: ({ actor, actorKind, address }) => <>{actorKind} <code>{actor}</code>{address && <><br />{address}</>}</> },
          { head: "Target", cell: ({ target }) => <code>{target}</code> },
          { head: "Actions", cell: (event) => <button type="button" aria-label={`Details of event ${event.seq}`} onClick={() => details(event)}>Details</button> },
        ]} />
    </section>
  </Frame>;
};

export const audit: View = { route: "audit", title: "Audit trail", allowed: (person) => person.can("audit:read"), Shown: Audit };
