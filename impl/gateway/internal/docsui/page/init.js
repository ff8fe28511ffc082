// Starts Swagger UI over the family's contracts. Everything it asks for is of
// this origin: the page's Content-Security-Policy allows nothing else.
"use strict";

const contracts = ["gateway", "kms", "twofactor", "search", "sequence"];

// The stock logo brings an inline style, which the policy refuses.
const ownLogo = (system) => ({
  components: {
    Logo: () => system.React.createElement("span", { className: "own-logo" }, "FountainAI"),
  },
});

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
