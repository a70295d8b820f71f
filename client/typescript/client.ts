// Calls of the service with fetch, typed by the paths of `vae.d.ts`: a path fixes which
// request it takes and which response it returns.
import type { components, paths } from "./vae";

export type Problem = components["schemas"]["Problem"];

type Json<Body> = Body extends { content: { "application/json": infer Value } } ? Value : never;
type Post<Path> = Path extends {
  post: { requestBody?: infer Body; responses: { 200: infer Success } };
}
  ? { request: Json<NonNullable<Body>>; response: Json<Success> }
  : never;
type Get<Path> = Path extends { get: { responses: { 200: infer Success } } } ? Json<Success> : never;
export type PostPath = { [P in keyof paths]: Post<paths[P]> extends never ? never : P }[keyof paths];
export type GetPath = { [P in keyof paths]: Get<paths[P]> extends never ? never : P }[keyof paths];

/** A response with an error status; `problem` says what was wrong (RFC 9457). */
export class ServiceError extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.status} ${problem.title}: ${problem.detail} (request ${problem.request_id})`);
    this.name = "ServiceError";
  }
}

/** A service at a URL, with an API key if it asks for one. */
export class Client {
  constructor(
    readonly url: string,
    readonly apiKey?: string,
  ) {}

  /** Send a request as JSON; `options` are those of fetch, such as a signal to cancel it. */
  async post<P extends PostPath>(
    path: P,
    request: Post<paths[P]>["request"],
    options: RequestInit = {},
  ): Promise<Post<paths[P]>["response"]> {
    const headers = { "content-type": "application/json" };
    return this.ask(path, { ...options, method: "POST", headers, body: JSON.stringify(request) });
  }

  /** Ask for what a path describes, such as `/model`. */
  async get<P extends GetPath>(path: P, options: RequestInit = {}): Promise<Get<paths[P]>> {
    return this.ask(path, options);
  }

  private async ask<Response>(path: string, options: RequestInit): Promise<Response> {
    const headers = new Headers(options.headers);
    headers.set("accept", "application/json");
    if (this.apiKey !== undefined) headers.set("authorization", `Bearer ${this.apiKey}`);
    const response = await fetch(this.url.replace(/\/$/, "") + path, { ...options, headers });
    if (response.ok) return response.json();
    if (response.headers.get("content-type")?.startsWith("application/problem+json")) {
      throw new ServiceError(await response.json());
    }
    throw new Error(`${response.status} ${response.statusText}`); // from a proxy, say
  }
}
