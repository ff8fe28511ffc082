// The family as the person who is signed in may use it: every call goes through their session, which renews tokens and asks for second factors.

import { fountain, ProblemError, take as taken } from "@fountainai/client";
import { cancelled, Problem } from "#page/problem.js";
import type { Session } from "#page/session.js";

let session: Session;

/** Sets the session of all calls. */
export const use = (signedIn: Session): void => {
  session = signedIn;
};

/** Returns the session of the person who is signed in. */
export const me = (): Session => session;

/** The services. Calls are read by {@link take}. */
export const family = fountain({
  baseUrl: location.origin,
  fetch: async (request) => {
    const { pathname, search } = new URL(request.url);
    const body = await request.clone().text();
    return session.fetch(pathname + search, {
      method: request.method, headers: request.headers, cache: "no-store", redirect: "error", referrerPolicy: "no-referrer", ...(body && { body }),
    }).catch((cause: unknown) => { throw cause instanceof Problem ? cause : new Problem({ code: "unreachable" }); });
  },
});

/** Returns what a call was answered with, and throws refusals as the pages' Problems, which have messages for people. */
export const take: typeof taken = async (call) => {
  try {
    return await taken(call);
  } catch (cause) {
    if (!(cause instanceof ProblemError)) throw cause;
    const details = cause.problem ?? { code: "broken_answer", status: cause.status };
    const problem = new Problem(details, cause.retryAfter ?? 0);
    throw problem.asksForFactor ? cancelled() : problem; // the session has asked for the factor, and the person cancelled
  }
};
