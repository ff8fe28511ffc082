// The ways by which a person shows a second factor. Each gives a proof, which is bound to the session that asked and works once.

import { get, obstacle } from "./passkey.js";

const api = "/twofactor/v1";

// ways tells which of them a person has: by authenticators, passkeys and recovery codes; any tells whether there is a factor at all.
export const ways = async (session) => {
  const [{ items }, recovery] = await Promise.all([session.call("GET", `${api}/factors`), session.call("GET", `${api}/recovery-codes`)]);
  const active = items.filter(({ status }) => status === "active" || status === "locked");
  const has = (type) => session.accepts(type) && active.some((factor) => factor.type === type);
  return { any: active.length > 0, code: has("totp"), passkey: has("passkey") && obstacle() === "", recovery: session.accepts("recovery_code") && recovery.remaining > 0 };
};

// byCode gives the proof of an authenticator's code.
export const byCode = async (session, code) => (await session.call("POST", `${api}/verify`, { body: { code } })).proof;

// byRecoveryCode gives that of a recovery code, and uses it up.
export const byRecoveryCode = async (session, code) => (await session.call("POST", `${api}/recovery-codes/use`, { body: { code } })).proof;

// byPasskey gives that of a passkey of the person's.
export const byPasskey = async (session) => {
  const { challengeId, options } = await session.call("POST", `${api}/passkey-challenges`);
  const credential = await get(options);
  return (await session.call("POST", `${api}/passkey-challenges/${challengeId}/verify`, { body: { credential } })).proof;
};
