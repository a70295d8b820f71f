// Sample two rows and score them; `client.ts` knows what goes in and what comes out.
import { Client, ServiceError } from "./client.js";

const vae = new Client("http://127.0.0.1:8000");

const { x } = await vae.post("/sample", { n: 2, seed: 7, draw: "sample" });
const scored = await vae.post("/elbo", { x, seed: 1 });
console.log(scored.elbo.length, scored.units);

try {
  await vae.post("/encode", { x: [[]] });
} catch (error) {
  if (!(error instanceof ServiceError)) throw error;
  console.log(error.problem.status, error.problem.title);
}
