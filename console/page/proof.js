// The ways by which a person shows a second factor. Each gives a proof, which is bound to the session that asked and works once.

import { get, obstacle } from "./passkey.js";
import { Problem } from "./problem.js";

const api = "/twofactor/v1";

// ways returns which of them a person has, by their factors and recovery codes; any says whether there is a factor at all.
export const ways = async (session) => {
  const [{ items }, recovery] = await Promise.all([session.call("GET", `${api}/factors`), session.call("GET", `${api}/recovery-codes`)]);
  const active = items.filter(({ status }) => status === "active" || status === "locked");
  const has = (type) => session.accepts(type) && active.some((factor) => factor.type === type);
  return { any: active.length > 0, code: has("totp"), email: has("email"), sms: has("sms"), passkey: has("passkey") && obstacle() === "", recovery: session.accepts("recovery_code") && recovery.remaining > 0 };
};

// byCode returns the proof of an authenticator's code.
export const byCode = async (session, code) => (await session.call("POST", `${api}/verify`, { body: { code } })).proof;

// byRecoveryCode returns the proof of a recovery code, and uses the code up.
export const byRecoveryCode = async (session, code) => (await session.call("POST", `${api}/recovery-codes/use`, { body: { code } })).proof;

// byPasskey returns the proof of a passkey of the person.
export const byPasskey = async (session) => {
  const { challengeId, options } = await session.call("POST", `${api}/passkey-challenges`);
  const credential = await get(options);
  return (await session.call("POST", `${api}/passkey-challenges/${challengeId}/verify`, { body: { credential } })).proof;
};

// send requests a code for the person, and returns its challenge.
export const send = (session, channel) => session.call("POST", `${api}/challenges`, { body: { channel, purpose: "signing in" } });

// sendAgain requests another code for a challenge; for a new challenge if that one has ended or accepts no more codes.
export const sendAgain = async (session, { challengeId, channel }) => {
  try {
    return await session.call("POST", `${api}/challenges/${challengeId}/resend`);
  } catch (problem) {
    if (problem.status !== 410 && problem.status !== 409) throw problem.code === "rate_limited" ? new Problem({ code: "code_on_its_way" }, problem.retryAfter) : problem;
    return send(session, channel);
  }
};

// bySentCode returns the proof of a code that was sent.
export const bySentCode = async (session, { challengeId }, code) => {
  try {
    return (await session.call("POST", `${api}/challenges/${challengeId}/verify`, { body: { code, proof: true } })).proof.proof;
  } catch (problem) {
    const specific = { invalid_code: "invalid_sent_code", gone: "sent_code_over", state_conflict: "sent_code_over", too_many_attempts: "sent_code_exhausted" }[problem.code];
    throw specific ? new Problem({ code: specific }, problem.retryAfter) : problem;
  }
};
