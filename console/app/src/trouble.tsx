// Shows what went wrong: a sentence for people, and the code and the request ID for whoever they ask.

import { Problem } from "#page/problem.js";
import { sentence } from "#page/words.js";

/** Shows a problem; shown are the fields whose errors are already shown at the fields. */
export const Trouble = ({ problem, shown = [] }: { problem: unknown; shown?: string[] }) => {
  const known = problem instanceof Problem ? problem : undefined;
  const more = known?.errors?.filter(({ pointer = "" }) => !shown.includes(pointer.split("/")[1] ?? "")).map(({ pointer, message }) => (pointer ? `${pointer} ${message}` : message)) ?? [];
  return <div role="alert" class="trouble">
    <p class="error">{sentence(problem)}</p>
    {more.length > 0 && <ul>{more.map((one) => <li key={one}>{one}</li>)}</ul>}
    {known?.requestId && <p class="hint"><code>{known.code}</code> in request <code>{known.requestId}</code></p>}
  </div>;
};
