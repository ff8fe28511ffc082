// How "Try it out" authenticates: by the session of who is signed in, or by an API key given under "Authorize".

import { current } from "/docs/account.js";

// placeholder stands for the session's token in what Swagger UI shows: people copy its curl lines, and the token itself stays in session.js.
const placeholder = "$TOKEN";

const byKey = "Not needed when you are signed in at the top of this page. To use an API key instead: `client_id` is the id of the key (`key_...`), `client_secret` the key itself. " +
  "If no scope is selected, the token has all scopes of the key for this service.";

const isOtp = ({ type, in: where, name }) => type === "apiKey" && where === "header" && name?.toLowerCase() === "x-otp";

// explained returns a contract with what is shown under "Authorize": codes in X-OTP are for programs, the page asks for a second factor by itself.
const explained = (contract) => {
  const schemes = contract.components?.securitySchemes ?? {};
  const codes = Object.keys(schemes).filter((name) => isOtp(schemes[name]));
  const without = (what) => Object.fromEntries(Object.entries(what).filter(([name]) => !codes.includes(name)));
  const shown = Object.entries(without(schemes)).map(([name, scheme]) => [name, scheme.type === "oauth2" ? { ...scheme, description: byKey } : scheme]);
  const operation = (one) => (Array.isArray(one?.security) ? { ...one, security: one.security.map(without) } : one);
  const item = (one) => Object.fromEntries(Object.entries(one).map(([method, given]) => [method, operation(given)]));
  return {
    ...contract,
    ...(contract.components ? { components: { ...contract.components, securitySchemes: Object.fromEntries(shown) } } : {}),
    ...(contract.paths ? { paths: Object.fromEntries(Object.entries(contract.paths).map(([path, one]) => [path, item(one)])) } : {}),
  };
};

// plugin has Swagger UI show contracts so.
export const plugin = () => ({ statePlugins: { spec: { wrapActions: { updateJsonSpec: (update) => (contract) => update(contract?.paths ? explained(contract) : contract) } } } });

// authorize tells Swagger UI whether there is a session: then it sends the placeholder with every operation that asks for a token.
export const authorize = (ui) => {
  const schemes = ui.specSelectors.securityDefinitions()?.filter((one) => one.get("type") === "oauth2") ?? new Map();
  for (const [name, schema] of schemes.entries()) {
    const { [name]: mine } = ui.authSelectors.authorized().toJS();
    if (current()) ui.authActions.authorizeOauth2({ auth: { name, schema: schema.toJS() }, token: { access_token: placeholder, token_type: "Bearer" } });
    else if (mine?.token?.access_token === placeholder) ui.authActions.logout([name]);
  }
};

// forKey asks for a token for an API key. A key may have scopes of several services, and a token is for one: for the one that is tried. Credentials of the browser
// are left out, for it would ask for a password of its own when a key is refused; and Swagger UI tells why it was only when that comes with success.
const forKey = (request, word) => {
  if (!new URLSearchParams(request.body).has("resource")) request.body += `&resource=${encodeURIComponent(word)}`;
  request.userFetch = async (url, sent) => {
    const answer = await fetch(url, { ...sent, credentials: "omit" });
    return answer.status === 400 || answer.status === 401 ? new Response(await answer.text(), { headers: { "Content-Type": "application/json" } }) : answer;
  };
  return request;
};

// interceptor returns what Swagger UI asks before each request. word is the service of the contract; alone tells that it takes tokens for itself alone.
export const interceptor = (word, alone) => (request) => {
  if (request.loadSpec) return request;
  request.credentials = "omit"; // the cookie of the browser's session is for nothing that is tried
  const address = new URL(request.url, location.href);
  if (request.headers.Authorization?.startsWith("Basic ") && address.pathname === "/kms/v1/oauth2/token") return forKey(request, word);
  const session = current();
  if (alone && !address.pathname.startsWith(`/${word}/`)) return request; // whatever its document says, it is not asked for as somebody
  if (session && request.headers.Authorization === `Bearer ${placeholder}` && address.origin === location.origin) {
    request.userFetch = (url, sent) => session.fetch(address.pathname + address.search, sent, alone ? word : "");
  }
  return request;
};
