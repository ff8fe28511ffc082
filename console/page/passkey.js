// Passkeys as the browser has them (WebAuthn level 3), in the JSON form of the API. Objects are read field by field: password managers
// replace the browser's objects by their own, without the newer methods.

import { Problem } from "./problem.js";

// obstacle returns why passkeys can't be used here, or "".
export const obstacle = () => {
  if (/^[0-9.]+$|:/.test(location.hostname.replace(/^\[|\]$/g, ""))) {
    return "Passkeys need a host name, and this page was opened by an IP address. Open it by the server's name; on this machine, use localhost.";
  }
  if (!isSecureContext) return "Passkeys need HTTPS, and this page was loaded without it.";
  if (typeof PublicKeyCredential !== "function" || !navigator.credentials) return "This browser does not support passkeys.";
  return "";
};

// create makes a passkey by the API's creation options, and returns what the API registers.
export const create = async (options) => {
  const { user, challenge, excludeCredentials = [] } = options;
  const made = await ask((signal) => navigator.credentials.create({
    signal,
    publicKey: { ...options, challenge: bytes(challenge), user: { ...user, id: bytes(user.id) }, excludeCredentials: excludeCredentials.map(withBytes) },
  }));
  const { response } = made;
  return credential(made, {
    clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject), transports: response.getTransports?.() ?? [],
  });
};

// get uses a passkey by the API's request options, and returns what the API verifies.
export const get = async (options) => {
  const { challenge, allowCredentials = [] } = options;
  const used = await ask((signal) => navigator.credentials.get({
    signal,
    publicKey: { ...options, challenge: bytes(challenge), allowCredentials: allowCredentials.map(withBytes) },
  }));
  const { response } = used;
  return credential(used, {
    clientDataJSON: text(response.clientDataJSON), authenticatorData: text(response.authenticatorData), signature: text(response.signature),
    ...(response.userHandle ? { userHandle: text(response.userHandle) } : {}),
  });
};

// credential is what both answers have in common.
const credential = (given, response) => ({
  id: given.id, rawId: text(given.rawId), type: given.type, response, clientExtensionResults: {},
  ...(given.authenticatorAttachment ? { authenticatorAttachment: given.authenticatorAttachment } : {}),
});

// codes are the reasons of browsers (WebAuthn, sections 5.1.3 and 5.1.4) in our words.
const codes = { NotAllowedError: "passkey_cancelled", AbortError: "passkey_cancelled", InvalidStateError: "passkey_known", SecurityError: "passkey_place", NotSupportedError: "passkey_unsupported", ConstraintError: "passkey_unsupported" };

// open is the pending request to the browser. There is one at a time: another one aborts it.
let open;

// abandon aborts a request whose result is no longer needed.
export const abandon = () => {
  open?.abort();
  open = undefined;
};

const ask = async (ceremony) => {
  abandon();
  const own = (open = new AbortController());
  let answer;
  try {
    answer = await ceremony(own.signal);
  } catch (cause) {
    throw new Problem({ code: codes[cause.name] ?? "passkey_failed" });
  } finally {
    if (open === own) open = undefined;
  }
  if (!answer) throw new Problem({ code: "passkey_cancelled" });
  return answer;
};

const withBytes = (descriptor) => ({ ...descriptor, id: bytes(descriptor.id) });

// bytes reads base64url.
const bytes = (base64url) => Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

// text writes base64url.
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
