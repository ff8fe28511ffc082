// Starts Swagger UI over the contract that the address names. Everything it asks for is of this origin: the page's Content-Security-Policy allows nothing
// else.

import { open } from "/docs/account.js";
import { refusals } from "/docs/refusals.js";
import { family, services } from "/docs/services.js";
import { authorize, interceptor, plugin } from "/docs/tryit.js";

const chooser = document.querySelector("#contract");
const status = document.querySelector("#status");

// contracts returns the names of all contracts: those of the family, and of the services of others while the gateway tells of them.
const contracts = async () => {
  const known = await services().catch(() => []);
  return [...family.keys(), ...known.filter(({ adopted }) => adopted).map(({ name }) => name)];
};

// chosen is the contract of the address, or the first where there is none of that name.
const chosen = (names) => {
  const wanted = new URLSearchParams(location.search).get("contract") ?? "kms";
  if (names.includes(wanted)) return wanted;
  status.textContent = "There is no contract with this name. Showing kms instead.";
  return "kms";
};

// dark follows the system's choice: Swagger UI has both sets of colours.
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

const show = (word) => {
  document.title = `${word}: FountainAI`;
  let signedIn = () => {};
  window.ui = SwaggerUIBundle({
    dom_id: "#swagger-ui",
    url: `/openapi/${word}.yaml`,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    validatorUrl: null, // the validator is somebody else's server
    queryConfigEnabled: false, // nobody's link chooses what this page loads
    persistAuthorization: false, // a token does not outlive the tab
    deepLinking: true,
    docExpansion: "list",
    displayOperationId: true, // the operation's name in logs, metrics and the SDK
    showExtensions: true, // x-fountain: who may call, how often, with which second factor
    defaultModelsExpandDepth: -1, // schemas are shown with the operations that use them
    displayRequestDuration: true,
    plugins: [refusals, plugin],
    requestInterceptor: interceptor(word, !family.has(word)),
    onComplete: () => { signedIn = () => authorize(window.ui); signedIn(); },
  });
  open(() => signedIn());
};

const names = await contracts();
const word = chosen(names);
chooser.replaceChildren(...names.map((name) => new Option(name, name, false, name === word)));
// Another contract is another page: it has its own address, and the operation that was open is not in it.
chooser.addEventListener("change", () => location.assign(`/docs?contract=${chooser.value}`));
// A browser that comes back to a page fills in what was chosen last, which is another page's.
addEventListener("pageshow", () => { chooser.value = word; });
show(word);
