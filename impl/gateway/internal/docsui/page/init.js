// Starts Swagger UI over the family's contracts. Everything it asks for is of
// this origin: the page's Content-Security-Policy allows nothing else.
"use strict";

// Those of the family, which are always there. The gateway knows of the others.
const family = ["gateway", "kms", "twofactor", "search", "sequence"];

// The stock logo brings an inline style, which the policy refuses.
const ownLogo = (system) => ({
  components: {
    Logo: () => system.React.createElement("span", { className: "own-logo" }, "FountainAI"),
  },
});

// adopted returns the names of the services of others. A name is letters, digits and hyphens; what is anything else is not shown.
const adopted = async () => {
  const answer = await fetch("/gateway/v1/services", { credentials: "omit" });
  if (!answer.ok) return [];
  const { items } = await answer.json();
  return items.filter((s) => s.adopted && /^[a-z][a-z0-9-]*$/.test(s.name)).map((s) => s.name);
};

const start = (contracts) => {
  window.ui = SwaggerUIBundle({
    dom_id: "#swagger-ui",
    urls: contracts.map((word) => ({ name: word, url: `/openapi/${word}.yaml` })),
    "urls.primaryName": "kms",
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    plugins: [ownLogo],
    layout: "StandaloneLayout",
    validatorUrl: null, // the validator is somebody else's server
    queryConfigEnabled: false, // nobody's link chooses what this page loads
    persistAuthorization: false, // a token does not outlive the tab
    deepLinking: true,
    displayOperationId: true, // the operation's name in logs, metrics and the SDK
    showExtensions: true, // x-fountain: who may call, how often, with which second factor
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
  });
};

adopted().catch(() => []).then((names) => start([...family, ...names]));
