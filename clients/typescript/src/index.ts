/**
 * Typed client of the FountainAI family. The types of requests and answers are generated from the contracts (`*.gen.ts`); what is written by hand is
 * here: where the family is, the bearer token, and how a refusal is told.
 */

import createClient, { type Client, type Middleware } from "openapi-fetch";

import type { components as gatewayComponents, paths as gatewayPaths } from "./gateway.gen.js";
import type { components as kmsComponents, paths as kmsPaths } from "./kms.gen.js";
import type { components as searchComponents, paths as searchPaths } from "./search.gen.js";
import type { components as sequenceComponents, paths as sequencePaths } from "./sequence.gen.js";
import type { components as twofactorComponents, paths as twofactorPaths } from "./twofactor.gen.js";

/** The schemas of each contract by their names, as `Schemas["kms"]["User"]`. */
export interface Schemas {
  gateway: gatewayComponents["schemas"];
  kms: kmsComponents["schemas"];
  search: searchComponents["schemas"];
  sequence: sequenceComponents["schemas"];
  twofactor: twofactorComponents["schemas"];
}

/** A refusal of the family (RFC 9457). It never repeats a value that was sent. */
export type Problem = Schemas["kms"]["Problem"];

export interface Options {
  /** The gateway's origin, as `https://fountain.example`. In a page of the gateway's own it may be `""`. */
  baseUrl: string;
  /** Returns the access token for a request, or undefined for none. It is asked for each request, so that it may renew. */
  token?: () => string | undefined | Promise<string | undefined>;
  /**
   * Sends a request; the default is `fetch`. Whoever wants a request repeated after a 401 (a token that was renewed, a second factor that was given) does it
   * here: no request is repeated by this client. A body can be read once, so send `request.clone()` first.
   */
  fetch?: (request: Request) => Promise<Response>;
}

/** The services of a family: each is a client of openapi-fetch over the paths of its contract. */
export interface Fountain {
  gateway: Client<gatewayPaths>;
  kms: Client<kmsPaths>;
  search: Client<searchPaths>;
  sequence: Client<sequencePaths>;
  twofactor: Client<twofactorPaths>;
}

/** Returns a client of the family at a gateway. It sends nothing by itself. */
export function fountain({ baseUrl, token, fetch }: Options): Fountain {
  const origin = baseUrl.replace(/\/+$/, "");
  const authorize: Middleware = {
    async onRequest({ request }) {
      const bearer = await token?.();
      if (bearer !== undefined) request.headers.set("Authorization", `Bearer ${bearer}`);
      return request;
    },
  };
  const client = <Paths extends {}>(base: string): Client<Paths> => {
    const made = createClient<Paths>({ baseUrl: origin + base, headers: { Accept: "application/json, application/problem+json" }, ...(fetch && { fetch }) });
    made.use(authorize);
    return made;
  };
  return {
    gateway: client<gatewayPaths>(""),
    kms: client<kmsPaths>("/kms/v1"),
    search: client<searchPaths>("/search/v1"),
    sequence: client<sequencePaths>("/sequence/v1"),
    twofactor: client<twofactorPaths>("/twofactor/v1"),
  };
}

/** What {@link take} throws for a refusal. `code` says stably what it is; docs/problems of the family has a page for each. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly code: string;
  readonly status: number;
  /** The number by which the family's logs know the request; "" when something between has answered. */
  readonly requestId: string;
  /** The problem document; undefined when something between the client and the family has answered. */
  readonly problem: Problem | undefined;
  /** Seconds to wait before another try, where the answer has them (`Retry-After`). */
  readonly retryAfter: number | undefined;

  constructor(error: unknown, response: Response) {
    const problem = isProblem(error) ? error : undefined;
    super(problem ? `${problem.code}: ${problem.detail ?? problem.title}` : `status ${response.status} without a problem document`);
    this.problem = problem;
    this.code = problem?.code ?? "broken_answer";
    this.status = response.status;
    this.requestId = problem?.requestId ?? "";
    const seconds = Number(response.headers.get("Retry-After") ?? NaN);
    this.retryAfter = Number.isFinite(seconds) ? seconds : undefined;
  }
}

/** Tells whether what was answered is a problem document. */
export function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "code" in value && typeof value.code === "string" && "status" in value && "requestId" in value;
}

/** What a call of a service resolves with. */
type Outcome<T> = { data?: T; error?: unknown; response: Response };

/** Returns what a call was answered with, and throws a {@link ProblemError} when it was refused: `await take(family.kms.GET("/users"))`. */
export async function take<T>(call: Promise<Outcome<T>>): Promise<Exclude<T, undefined>> {
  const { data, error, response } = await call;
  if (!response.ok) throw new ProblemError(error, response);
  return data as Exclude<T, undefined>;
}
