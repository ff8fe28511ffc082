// Backups that were made beside the kms, and what the doctor found last: both are results of commands on the machine, which can't be run in a browser.

import type { Schemas } from "@fountainai/client";
import { Problem } from "#page/problem.js";
import { moment } from "#page/words.js";
import { family, take } from "../family.js";
import { Facts, Listing, Table } from "../listing.js";
import { from } from "../pages.js";
import { Frame, Show, useLoaded, useRound, type View } from "../view.js";

type Backup = Schemas["kms"]["Backup"];
type Diagnosis = Schemas["kms"]["Diagnosis"];
type Finding = Schemas["kms"]["Finding"];

const checks: Record<NonNullable<Backup["check"]>, string> = { verify: "read to its end", drill: "restored and checked" };

const faults: Record<NonNullable<Backup["fault"]>, string> = {
  damaged: "The record of this backup is damaged; the archive itself may be whole.",
  unreadable: "The kms can't read the record of this backup.",
};

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

const Backups = ({ round }: { round: number }) => <Listing<Backup> label="Backups" of={round} id={({ id }) => id} none="No backup was made from this data directory of the kms."
  load={(cursor) => take(family.kms.GET("/backups", { params: { query: from(cursor) } }))} columns={[
    { head: "Created", cell: ({ madeAt }) => moment(madeAt) },
    { head: "Archive", cell: ({ id, file, fault }) => <>{fault ? <strong>{faults[fault]}</strong> : <code>{file}</code>}<div class="off">{id}</div></> },
    { head: "Size", cell: ({ bytes, fault }) => (fault ? "" : megabytes(bytes)) },
    { head: "Contains what was written before", cell: ({ parts }) => <ul>{parts.map(({ name, database, instant, rows }) => <li key={name}>{name} ({database}): {moment(instant)}, {rows} rows</li>)}</ul> },
    { head: "By", cell: ({ version }) => version },
    { head: "Checked", cell: ({ check, checkedAt, failedCheck, failedAt, fault }) => <>
      {check && checkedAt ? <>{checks[check]}<div class="off">{moment(checkedAt)}</div></> : <span class="off">{fault ? "" : "never"}</span>}
      {failedCheck && failedAt && <div>Failed: not {checks[failedCheck]}<div class="off">{moment(failedAt)}</div></div>}
    </> },
  ]} />;

/** Errors and warnings come first; the rest stays in the doctor's order. */
const rank: Record<Finding["level"], number> = { error: 0, warning: 1, ok: 2 };

const verdicts: Record<Finding["level"], string> = { ok: "Nothing is wrong.", warning: "There are warnings.", error: "Something is wrong." };

const Found = ({ report }: { report: Diagnosis }) => <>
  <Facts facts={[["Checked", moment(report.at)], ["Verdict", verdicts[report.worst]], ["Doctor", `version ${report.version}${report.quick ? ", without reading whole databases" : ""}`]]} />
  <Table label="Findings" items={report.findings.map((one, at) => ({ ...one, at })).sort((a, b) => rank[a.level] - rank[b.level] || a.at - b.at)} id={({ at }) => `${at}`} columns={[
    { head: "Level", cell: ({ level }) => <span class={level === "ok" ? "" : "off"}>{level}</span> },
    { head: "Service", cell: ({ service }) => service ?? "all" },
    { head: "Check", cell: ({ check }) => check },
    { head: "Found", cell: ({ what, do: todo }) => <>{what}{todo && <div>To do: {todo}</div>}</> },
  ]} />
</>;

/** The report; null if none is stored. */
const diagnosis = async (): Promise<Diagnosis | null> => {
  try {
    return await take(family.kms.GET("/diagnosis"));
  } catch (cause) {
    if (cause instanceof Problem && cause.code === "not_found") return null;
    throw cause;
  }
};

const Upkeep = () => {
  const [round, after] = useRound();
  const found = useLoaded(diagnosis, [round]);
  return <Frame title="Backups and doctor">
    <p>Results of commands that ran on the machine of the kms. Loading this page checks nothing again.</p>
    <div class="actions"><button type="button" onClick={after(async () => true)}>Refresh</button></div>
    <section aria-label="Backups"><h2>Backups</h2><Backups round={round} /></section>
    <section aria-label="Doctor"><h2>Doctor</h2><Show loaded={found}>{(report) => (report
      ? <Found report={report} />
      : <p class="notice">No report is stored. <code>fountain doctor --keep</code> stores one, on the machine of the kms; a timer can run it.</p>)}</Show></section>
  </Frame>;
};

export const upkeep: View = { route: "upkeep", title: "Backups and doctor", allowed: (person) => person.can("upkeep:read"), Shown: Upkeep };
