// Writes of many documents that the search service carries out by itself: how far each is, and which of its items failed.

import type { Schemas } from "@fountainai/client";
import { say } from "#page/screen.js";
import { moment } from "#page/words.js";
import { useState } from "preact/hooks";
import { ask } from "./ask.js";
import { readLines, save } from "./download.js";
import { family, take } from "./family.js";
import { Listing } from "./listing.js";
import { from } from "./pages.js";
import { Trouble } from "./trouble.js";
import { announce, useRound } from "./view.js";

type Job = Schemas["search"]["Job"];

const goesOn = ({ state }: Job): boolean => state === "queued" || state === "running";

const cancel = async (collection: string, { id }: Job): Promise<boolean> => announce(await ask({
  title: "Cancel the job?", label: "Cancel job", leave: "Keep it running", text: "What was written remains. The other items are not written.",
  act: () => take(family.search.POST("/collections/{collection}/jobs/{jobId}/cancel", { params: { path: { collection, jobId: id } } })),
}), ({ state }) => `Job of ${collection}: ${state}.`);

/** Exports which items failed, as lines of JSON. */
const exportFailures = async (collection: string, { id }: Job): Promise<void> => {
  const body = await take(family.search.GET("/collections/{collection}/jobs/{jobId}/failures", {
    params: { path: { collection, jobId: id } }, parseAs: "stream", headers: { Accept: "application/x-ndjson, application/problem+json" },
  }));
  const { file, count } = await readLines(body, ({ failures }) => typeof failures === "number");
  save(`${id}-failures.ndjson`, file);
  say(`${count - 1} failures exported.`); // the line that closes them is none
};

const Progress = ({ of: { id, items, succeeded, failed } }: { of: Job }) => <>
  <progress aria-label={`Progress of ${id}`} max={items} value={succeeded + failed} /> <div>{`${succeeded + failed} of ${items}${failed > 0 ? `, ${failed} failed` : ""}`}</div>
</>;

export const Jobs = ({ collection }: { collection: string }) => {
  const [round, after] = useRound();
  const [problem, setProblem] = useState<unknown>();
  const failures = (job: Job) => exportFailures(collection, job).then(() => setProblem(undefined), setProblem);
  return <section aria-label="Jobs"><h2>Jobs</h2>
    <div class="actions"><button type="button" onClick={after(async () => true)}>Refresh jobs</button></div>
    {problem !== undefined && <Trouble problem={problem} />}
    <Listing<Job> label="Jobs" of={round} id={({ id }) => id} none="No jobs. Writes with Prefer: respond-async are carried out by jobs, which are listed for three days."
      load={(cursor) => take(family.search.GET("/collections/{collection}/jobs", { params: { path: { collection }, query: from(cursor) } }))}
      columns={[
        { head: "Created", cell: ({ createdAt }) => moment(createdAt) },
        { head: "State", cell: ({ state, failure, endedAt }) => <>{failure ? <span class="off">{`${state}: ${failure.message}`}</span> : state}{endedAt && <div>{moment(endedAt)}</div>}</> },
        { head: "Items", cell: (job) => <Progress of={job} /> },
        { head: "Actions", cell: (job) => <div class="actions">
          {goesOn(job) && <button type="button" aria-label={`Cancel job ${job.id}`} onClick={after(() => cancel(collection, job))}>Cancel job</button>}
          {job.failed > 0 && <button type="button" aria-label={`Export failures of ${job.id}`} onClick={() => failures(job)}>Export failures</button>}
        </div> },
      ]} />
  </section>;
};
