// A person's session. Its tokens live in this object alone: they are in no storage and no cookie, and end with the tab.

import { call, refusal } from "./api.js";
import { Problem } from "./problem.js";

const early = 20_000; // milliseconds before its end that a token is renewed, for clocks and slow ways

export class Session {
  #access = "";
  #refresh = "";
  #until = 0; // when the access token ends, by this machine's own time since the page was loaded
  #accepted; // the types of factor that end a pending sign-in; undefined: all
  #raised = new Map(); // by service: what a second factor gave
  #renewal;

  // prove is asked when a call needs a second factor: it gets one, and hands what it proves to raise. Without it such calls fail.
  prove;

  // ended is told once, with the problem, when the session is over.
  ended = () => {};

  constructor(answer) {
    this.#take(answer);
  }

  // pending tells that the password was right and a second factor is still asked for. Until then only factors can be managed.
  get pending() { return this.#refresh === ""; }

  // accepts tells whether factors of a type end a pending sign-in.
  accepts(type) { return this.#accepted?.includes(type) ?? true; }

  // name is the person's, for showing.
  get name() { return claims(this.#access).preferred_username ?? ""; }

  // subject is the person's id.
  get subject() { return claims(this.#access).sub ?? ""; }

  // can tells whether the session's token carries a scope, for what to offer. What may be done is decided elsewhere.
  can(scope) { return (claims(this.#access).scope ?? "").split(" ").includes(scope); }

  #take(answer) {
    this.#access = answer.mfaToken ?? answer.access_token;
    this.#refresh = answer.refresh_token ?? "";
    this.#accepted = answer.factors;
    this.#until = performance.now() + (answer.expires_in ?? answer.expiresIn) * 1000;
  }

  // complete ends a pending sign-in with the proof of a second factor.
  async complete(proof) {
    this.#take(await call("POST", "/kms/v1/auth/login/complete", { token: this.#access, body: { proof } }));
  }

  // raise trades the proof of a second factor for a token that one service takes for operations that ask for one.
  async raise(service, proof) {
    const answer = await call("POST", "/kms/v1/auth/step-up", { token: await this.#token(), body: { proof, resource: service } });
    this.#raised.set(service, { token: answer.access_token, until: performance.now() + answer.expires_in * 1000 - early });
  }

  // call sends a request with the session's token, and once more with a raised one when a second factor was asked for and given.
  call(method, path, { body, blob } = {}) {
    return this.#proven(serviceOf(path), (token) => call(method, path, { token, body, blob }));
  }

  // fetch is the browser's with the session's token, for those who read answers themselves: it resolves with a refusal too.
  async fetch(path, request = {}) {
    let refused;
    const attempt = async (token) => {
      const headers = new Headers(request.headers);
      headers.set("Authorization", `Bearer ${token}`);
      const answer = await fetch(path, { ...request, headers, credentials: "omit" });
      if (answer.ok) return answer;
      refused = answer;
      throw await refusal(answer.clone());
    };
    try {
      return await this.#proven(serviceOf(path), attempt);
    } catch (problem) {
      if (refused && (problem.status === refused.status || problem.code === "cancelled")) return refused;
      throw problem;
    }
  }

  async #proven(service, attempt) {
    try {
      return await this.#send(service, attempt);
    } catch (problem) {
      if (problem.asksForSignIn) {
        await this.signOut().catch(() => {}); // it is replaced in any case
        throw this.#end(problem);
      }
      if (!problem.asksForFactor || !this.prove || this.pending) throw problem;
    }
    await this.prove(service);
    return this.#send(service, attempt);
  }

  async #send(service, attempt) {
    const raised = this.#raised.get(service);
    if (raised && performance.now() < raised.until) {
      try {
        return await attempt(raised.token);
      } catch (problem) {
        if (!problem.endsSession && !problem.asksForFactor) throw problem;
      }
    }
    this.#raised.delete(service);
    const token = await this.#token();
    try {
      return await attempt(token);
    } catch (problem) {
      if (!problem.endsSession) throw problem;
      if (this.pending) throw this.#end(problem);
    }
    return attempt(await this.#renew()).catch((problem) => { throw problem.endsSession ? this.#end(problem) : problem; });
  }

  async #token() {
    if (performance.now() < this.#until - early) return this.#access;
    if (this.pending) throw this.#end(new Problem({ code: "session_ended" }));
    return this.#renew();
  }

  // renew trades the refresh token, which works once: calls that need it at the same time wait for one trade.
  #renew() {
    this.#renewal ??= call("POST", "/kms/v1/auth/refresh", { body: { refreshToken: this.#refresh } })
      .then((answer) => { this.#take(answer); return this.#access; })
      .catch((problem) => { throw problem.status === 401 ? this.#end(problem) : problem; })
      .finally(() => { this.#renewal = undefined; });
    return this.#renewal;
  }

  #end(problem) {
    this.#forget();
    this.ended(problem);
    return problem;
  }

  #forget() {
    this.#access = this.#refresh = "";
    this.#until = 0;
    this.#raised.clear();
  }

  // signOut ends the session at the server, and forgets it here even when the server can't be told.
  async signOut() {
    try {
      await call("POST", "/kms/v1/auth/logout", { token: await this.#token() });
    } catch (problem) {
      if (!problem.endsSession) throw problem;
    } finally {
      this.#forget();
    }
  }
}

const serviceOf = (path) => path.split("/")[1];

// claims reads what an access token says, for showing only: nothing here decides by it.
const claims = (token) => {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
};
