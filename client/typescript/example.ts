// Ask the service with fetch; `vae.d.ts` knows what goes in and what comes out.
import type { components } from "./vae";

type Schemas = components["schemas"];

async function ask<Answer>(path: string, body: unknown): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:8000${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return response.json();
  const problem: Schemas["Problem"] = await response.json();
  throw new Error(`${problem.detail} (request ${problem.request_id})`);
}

const wanted: Schemas["SampleRequest"] = { n: 2, seed: 7, draw: "sample" };
const { x } = await ask<Schemas["SampleResponse"]>("/sample", wanted);
const scored = await ask<Schemas["ElboResponse"]>("/elbo", { x, seed: 1 });
console.log(scored.elbo.length, scored.units);
