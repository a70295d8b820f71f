// Calls of the service with fetch, typed by the paths of `vae.d.ts`: a path fixes which
// request it takes and which response it returns. A model of a table has paths of its own,
// generated from its OpenAPI document: `new Client<TablePaths>(url)`.
import type { components, paths } from "./vae";

export type Problem = components["schemas"]["Problem"];

type Json<Body> = Body extends { content: { "application/json": infer Value } } ? Value : never;
type Post<Path> = Path extends {
  post: { requestBody?: infer Body; responses: { 200: infer Success } };
}
  ? { request: Json<NonNullable<Body>>; response: Json<Success> }
  : never;
type Get<Path> = Path extends { get: { responses: { 200: infer Success } } } ? Json<Success> : never;
export type PostPath<Paths = paths> = { [P in keyof Paths]: Post<Paths[P]> extends never ? never : P }[keyof Paths];
export type GetPath<Paths = paths> = { [P in keyof Paths]: Get<Paths[P]> extends never ? never : P }[keyof Paths];

// Rows by name come as `orient` says: of the forms that an array can have, it chooses one.
type Split = { columns: unknown; data: unknown };
type Arrays = (number | null)[][] | (number | null)[][][];
type Form<Value, Orient> = [Extract<Value, Split>] extends [never]
  ? Value
  : Orient extends "split"
    ? Extract<Value, Split>
    : Orient extends "records"
      ? Exclude<Value, Split | Arrays>
      : Extract<Value, Arrays>;
type Orients<Request> = Request extends { orient?: infer Orient } ? Orient : never;

/** A response with an error status; `problem` says what was wrong (RFC 9457). */
export class ServiceError extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.status} ${problem.title}: ${problem.detail} (request ${problem.request_id})`);
    this.name = "ServiceError";
  }
}

/** A service at a URL, with an API key if it asks for one. */
export class Client<Paths = paths> {
  constructor(
    readonly url: string,
    readonly apiKey?: string,
  ) {}

  /** Send a request as JSON; `options` are those of fetch: headers, a signal to cancel it. */
  async post<
    P extends PostPath<Paths>,
    Orient extends Orients<Post<Paths[P]>["request"]> = Extract<Orients<Post<Paths[P]>["request"]>, "arrays">,
  >(
    path: P,
    request: Post<Paths[P]>["request"] & { orient?: Orient },
    options: RequestInit = {},
  ): Promise<{ [Name in keyof Post<Paths[P]>["response"]]: Form<Post<Paths[P]>["response"][Name], Orient> }> {
    const headers = new Headers(options.headers);
    headers.set("content-type", "application/json");
    return this.ask(path, { ...options, method: "POST", headers, body: JSON.stringify(request) });
  }

  /** Ask for what a path describes, such as `/model`. */
  async get<P extends GetPath<Paths>>(path: P, options: RequestInit = {}): Promise<Get<Paths[P]>> {
    return this.ask(path, options);
  }

  private async ask<Response>(path: keyof Paths, options: RequestInit): Promise<Response> {
    const headers = new Headers(options.headers);
    headers.set("accept", "application/json");
    if (this.apiKey !== undefined) headers.set("authorization", `Bearer ${this.apiKey}`);
    const response = await fetch(this.url.replace(/\/$/, "") + String(path), { ...options, headers });
    if (response.ok) return response.json();
    if (response.headers.get("content-type")?.startsWith("application/problem+json")) {
      throw new ServiceError(await response.json());
    }
    throw new Error(`${response.status} ${response.statusText}`); // from a proxy, say
  }
}
