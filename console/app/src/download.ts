// Answers of many lines, which people keep as files.

import { Problem } from "#page/problem.js";

const mostBytes = 256 * 1024 * 1024; // of a file, which a page has in memory until the browser has it
const mostLine = 128 * 1024; // bytes; the contracts allow 64 KiB

/** Hands a file to the browser, which puts it among the downloads. */
export const save = (name: string, file: Blob): void => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has read it by then
};

/** An answer of lines, and how many they are. */
export interface Lines {
  file: Blob;
  count: number;
}

/** Reads an answer of lines (NDJSON) to its end. It is whole only when its last line closes it; else it is a Problem, as one is that is too large for a page. */
export const readLines = async (body: Response["body"], closes: (last: Record<string, unknown>) => boolean): Promise<Lines> => {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0, count = 0;
  const reader = body?.getReader();
  for (let more = reader !== undefined; more;) {
    const { done, value } = await reader!.read().catch(() => { throw new Problem({ code: "not_whole" }); });
    more = !done;
    if (!value) continue;
    parts.push(value);
    bytes += value.length;
    count += value.reduce((sum, byte) => sum + (byte === 10 ? 1 : 0), 0);
    if (bytes > mostBytes) {
      void reader!.cancel();
      throw new Problem({ code: "too_large_here" });
    }
  }
  const file = new Blob(parts, { type: "application/x-ndjson" });
  if (!(await closed(file, closes))) throw new Problem({ code: "not_whole" });
  return { file, count };
};

const closed = async (file: Blob, closes: (last: Record<string, unknown>) => boolean): Promise<boolean> => {
  const last = (await file.slice(-mostLine).text()).trimEnd().split("\n").pop() ?? "";
  try {
    const line: unknown = JSON.parse(last);
    return typeof line === "object" && line !== null && closes(line as Record<string, unknown>);
  } catch {
    return false;
  }
};
