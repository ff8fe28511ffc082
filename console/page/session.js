// A person's session. Its access tokens are only in this object. The refresh token is in a cookie that scripts can't read (HttpOnly), so that the session survives a reload of the
// page. Nothing is stored elsewhere.

import { call, refusal } from "./api.js";
import { Problem } from "./problem.js";

const early = 20_000; // milliseconds before its end that a token is renewed, for clocks and slow ways

// refreshIn says where the refresh token of a sign-in is kept. Browsers keep such a cookie over HTTPS and for localhost; elsewhere the token is in
// memory, and the session ends with the page.
export const refreshIn = isSecureContext ? "cookie" : "body";

// sentTypes are the factors whose codes are sent to a person.
const sentTypes = ["email", "sms", "webhook"];

// signedOut notifies the other tabs which session was signed out.
const signedOut = new BroadcastChannel("fountain-session");

const over = () => new Problem({ code: "session_ended" });

let last = Promise.resolve();

// inTurn allows one refresh at a time in all tabs, since each uses the token of the one before.
const inTurn = (act) => (navigator.locks ? navigator.locks.request("fountain-session", act) : (last = last.catch(() => {}).then(act)));

// trade gets a new access token, for one service where resource names it, for a refresh token or for the one in the cookie (""); undefined when the session has ended.
const trade = (refresh, resource) => inTurn(() => {
  const body = resource ? { resource: [resource] } : {};
  if (!refresh) return call("POST", "/kms/v1/auth/browser-session/refresh", { body, withCookie: true });
  return call("POST", "/kms/v1/auth/refresh", { body: { ...body, refreshToken: refresh } })
    .catch((problem) => { if (problem.status !== 401) throw problem; });
});

export class Session {
  #refresh = ""; // "" while it is in the cookie
  #pending = false;
  #id;
  #subject;
  #name = "";
  #scopes = [];
  #accepted; // the types of factor that end a pending sign-in; undefined: all
  #tokens = new Map(); // access tokens: under "" that for the family, under a service's name one for it alone
  #raised = new Map(); // by service: what a second factor gave
  #renewals = new Map();

  // prove is called when a call needs a second factor: it asks for one, and passes the proof to raise. Without it such calls fail.
  prove;

  // ended is called once, with the problem, when the session has ended.
  ended = () => {};

  // resume returns the browser's session, or undefined. Pages call it at their start.
  static async resume() {
    const answer = refreshIn === "cookie" ? await trade("") : undefined;
    return answer && new Session(answer);
  }

  constructor(answer) {
    this.#take(answer);
    signedOut.addEventListener("message", ({ data }) => { if (this.#id && data === this.#id) this.#end(over()); });
  }

  // pending reports that the password was right and a second factor is still required. Until then only factors can be managed.
  get pending() { return this.#pending; }

  // accepts reports whether factors of a type complete a pending sign-in. Sent codes do only if they are named.
  accepts(type) { return this.#accepted?.includes(type) ?? !sentTypes.includes(type); }

  // name is the person's, for showing.
  get name() { return this.#name; }

  // subject is the person's id.
  get subject() { return this.#subject; }

  // can reports whether the session's token has a scope, to decide what to offer. The services decide what is allowed.
  can(scope) { return this.#scopes.includes(scope); }

  #take(answer, alone = "") {
    const token = answer.mfaToken ?? answer.access_token;
    this.#tokens.set(alone, { token, until: performance.now() + (answer.expires_in ?? answer.expiresIn) * 1000 - early });
    this.#refresh = answer.refresh_token ?? this.#refresh;
    if (alone) return;
    this.#pending = answer.mfaToken !== undefined;
    this.#accepted = answer.factors;
    const { sid, sub, preferred_username: name = "", scope = "" } = claims(token);
    this.#id = sid;
    this.#subject = sub;
    this.#name = name;
    this.#scopes = scope.split(" ");
  }

  // complete ends a pending sign-in with the proof of a second factor.
  async complete(proof) {
    this.#take(await call("POST", "/kms/v1/auth/login/complete", { token: await this.#token(), body: { proof, refreshIn }, withCookie: true }));
  }

  // raise exchanges the proof of a second factor for a token with which one service accepts operations that require it.
  async raise(service, proof) {
    const answer = await call("POST", "/kms/v1/auth/step-up", { token: await this.#token(), body: { proof, resource: service } });
    this.#raised.set(service, { token: answer.access_token, until: performance.now() + answer.expires_in * 1000 - early });
  }

  // call sends a request with the session's token, and once more with a raised one when a second factor was asked for and given.
  call(method, path, { body, blob } = {}) {
    return this.#proven(serviceOf(path), (token) => call(method, path, { token, body, blob }));
  }

  // fetch is the browser's with the session's token, for pages that show answers as they are: it also resolves with a refusal. alone names a service that accepts
  // only tokens for itself.
  async fetch(path, request = {}, alone = "") {
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
      return await this.#proven(serviceOf(path), attempt, alone);
    } catch (problem) {
      if (refused && (problem.status === refused.status || problem.code === "cancelled")) return refused;
      throw problem;
    }
  }

  async #proven(service, attempt, alone) {
    try {
      return await this.#send(service, attempt, alone);
    } catch (problem) {
      if (problem.asksForSignIn && !alone) { // an adopted service can't sign people out
        await this.signOut().catch(() => {}); // it is replaced in any case
        throw this.#end(problem);
      }
      if (!problem.asksForFactor || !this.prove || this.pending) throw problem;
    }
    await this.prove(service);
    return this.#send(service, attempt, alone);
  }

  async #send(service, attempt, alone = "") {
    const raised = this.#raised.get(service);
    if (raised && performance.now() < raised.until) {
      try {
        return await attempt(raised.token);
      } catch (problem) {
        if (!problem.endsSession && !problem.asksForFactor) throw problem;
      }
    }
    this.#raised.delete(service);
    const token = await this.#token(alone);
    try {
      return await attempt(token);
    } catch (problem) {
      if (!problem.endsSession) throw problem;
      if (this.pending) throw this.#end(problem);
    }
    return attempt(await this.#renew(alone)).catch((problem) => { throw problem.endsSession && !alone ? this.#end(problem) : problem; });
  }

  async #token(alone = "") {
    const kept = this.#tokens.get(alone);
    if (kept && performance.now() < kept.until) return kept.token;
    if (this.pending) throw this.#end(over());
    return this.#renew(alone);
  }

  // renew gets the next access token: calls that need it at the same time wait for one.
  #renew(alone) {
    if (!this.#renewals.has(alone)) this.#renewals.set(alone, this.#traded(alone).finally(() => { this.#renewals.delete(alone); }));
    return this.#renewals.get(alone);
  }

  // traded also ends this session if another person has signed in in another tab meanwhile.
  async #traded(alone) {
    const answer = this.#subject && await trade(this.#refresh, alone);
    if (!answer || claims(answer.access_token).sub !== this.#subject) throw this.#end(over());
    this.#take(answer, alone);
    return answer.access_token;
  }

  #end(problem) {
    this.#forget();
    this.ended(problem);
    return problem;
  }

  #forget() {
    this.#refresh = "";
    this.#id = this.#subject = undefined;
    this.#tokens.clear();
    this.#raised.clear();
  }

  // signOut ends the session at the server, in all tabs, and forgets it here even if the server can't be reached.
  async signOut() {
    try {
      await call("POST", "/kms/v1/auth/logout", { token: await this.#token(), withCookie: true });
    } catch (problem) {
      if (!problem.endsSession) throw problem;
    } finally {
      if (this.#id) signedOut.postMessage(this.#id);
      this.#forget();
    }
  }
}

const serviceOf = (path) => path.split("/")[1];

// claims reads what an access token says, only to show it and to distinguish people: the services decide what is allowed.
const claims = (token) => {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
};
