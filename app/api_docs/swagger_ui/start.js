"use strict";

// Every address is relative, so that the page works behind any prefix.
SwaggerUIBundle({
  url: "./openapi.json",
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  displayRequestDuration: true,
  showExtensions: true,
  showCommonExtensions: true,
  syntaxHighlight: false, // it takes seconds for a long array
  validatorUrl: null, // it would send the address of this service to another
});
