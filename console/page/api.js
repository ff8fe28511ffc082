// One call of the API of this page's own origin. Refusals are thrown as Problems.

import { Problem } from "./problem.js";

const patience = 30_000; // milliseconds that an answer may take

// call sends a request and returns the answer's JSON; {blob: true} returns its bytes, and no content is undefined. Cookies are neither sent nor
// accepted, except with {withCookie: true}.
export const call = async (method, path, { token, body, blob = false, withCookie = false } = {}) => {
  const headers = { Accept: blob ? "image/svg+xml, application/problem+json" : "application/json, application/problem+json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      credentials: withCookie ? "same-origin" : "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(patience),
    });
    if (!answer.ok) throw await refusal(answer);
    if (answer.status === 204) return undefined;
    return blob ? await answer.blob() : await answer.json();
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw new Problem({ code: cause.name === "TimeoutError" ? "no_answer" : answer ? "broken_answer" : "unreachable" });
  }
};

// refusal reads a problem document; any other answer, for example of a proxy, is described by its status.
export const refusal = async (answer) => {
  const retryAfter = Number(answer.headers.get("Retry-After")) || 0;
  const type = answer.headers.get("Content-Type") ?? "";
  if (type.startsWith("application/problem+json")) return new Problem(await answer.json(), retryAfter);
  return new Problem({ code: "broken_answer", status: answer.status }, retryAfter);
};
