// A client of the public contract, written like an SDK in TypeScript: fetch, interfaces, one error
// class.
//
// It sends requests and reads answers. It retries nothing and checks nothing that the host checks.

const timeoutMs = 120_000;

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };

/** A refusal of the host. `details` is every top-level field but `code` and `message`. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: JsonObject,
  ) {
    super(message);
  }

  static from(status: number, body: Json): ApiError {
    const { code, message, ...details } = object(body);
    return new ApiError(status, string(code), string(message), details);
  }
}

/** An unchanged answer. */
export interface Response {
  status: number;
  headers: Headers;
  body: string;
}

// Readers of JSON. Each returns the value that it is named after, or throws.

type Read<T> = (value: Json | undefined) => T;

function wrong(value: Json | undefined, wanted: string): never {
  throw new TypeError(`${JSON.stringify(value)} is no ${wanted}`);
}

const string: Read<string> = (value) => (typeof value === 'string' ? value : wrong(value, 'string'));
const boolean: Read<boolean> = (value) => (typeof value === 'boolean' ? value : wrong(value, 'boolean'));
const integer: Read<number> = (value) => (Number.isSafeInteger(value) ? (value as number) : wrong(value, 'integer'));
const any: Read<Json> = (value) => (value === undefined ? wrong(value, 'JSON') : value);
const object: Read<JsonObject> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : wrong(value, 'object');
const uuid: Read<string> = (value) =>
  /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(string(value)) ? string(value) : wrong(value, 'UUID');

/** A time in RFC 3339, in UTC with a Z. It stays text, because a Date has no microseconds. */
const time: Read<string> = (value) =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(string(value)) && !Number.isNaN(Date.parse(string(value)))
    ? string(value)
    : wrong(value, 'time in UTC');

const optional =
  <T,>(read: Read<T>): Read<T | null> =>
  (value) =>
    value === null ? null : read(value);
const list =
  <T,>(read: Read<T>): Read<T[]> =>
  (value) =>
    Array.isArray(value) ? value.map(read) : wrong(value, 'array');

/** A JSON object with these fields. Other fields are ignored. */
const model =
  <T,>(fields: { [K in keyof T]: Read<T[K]> }): Read<T> =>
  (value) => {
    const from = object(value);
    const names = Object.keys(fields) as (keyof T & string)[];
    return Object.fromEntries(names.map((name) => [name, fields[name](from[name])])) as T;
  };

type Model<R> = R extends Read<infer T> ? T : never;

export type App = Model<typeof readApp>;
const readApp = model({
  id: uuid,
  team_id: uuid,
  name: string,
  slug: string,
  description: string,
  created_at: time,
  updated_at: time,
  vault_id: optional(uuid),
});

const readDesignation = model({ vault_id: optional(uuid) });

export type Vault = Model<typeof readVault>;
const readVault = model({
  id: uuid,
  app_id: uuid,
  project_id: uuid,
  name: string,
  metadata: object,
  created_at: time,
  updated_at: time,
});

/** All that is ever shown of a secret. */
export type Secret = Model<typeof readSecret>;
const readSecret = model({
  vault_id: uuid,
  name: string,
  kek_id: string,
  version: integer,
  created_at: time,
  updated_at: time,
});

export type AuditEntry = Model<typeof readAuditEntry>;
export const readAuditEntry = model({
  id: uuid,
  app_id: optional(uuid),
  actor_user_id: optional(uuid),
  actor_api_key_id: optional(uuid),
  action: string,
  subject_type: optional(string),
  subject_id: optional(string),
  agent_version_id: optional(uuid),
  session_id: optional(string),
  metadata: object,
  created_at: time,
});

const readAuditPage = model({ entries: list(readAuditEntry), total: integer, limit: integer, offset: integer });

const readTool = model({
  name: string,
  operations: list(model({ name: string, description: string, input_schema: object })),
  credentials: list(model({ name: string, present: boolean })),
});

export type Execution = Model<typeof readExecution>;
const readScriptError = model({ name: string, code: optional(string), message: string });
const readExecution = model({
  ok: boolean,
  result: any,
  error: (value) => (value === undefined ? undefined : readScriptError(value)),
  logs: list(string),
  calls: list(model({ tool: string, operation: string, ok: boolean, duration_ms: integer })),
  duration_ms: integer,
});

/** Two names for the same thing. */
type Family = 'app' | 'project';

type Query = Record<string, string | number>;

/** One app's API key at one host. `responses` holds all answers. */
export class Client {
  constructor(
    readonly baseUrl: string,
    readonly headers: Record<string, string>,
    readonly responses: Response[] = [],
  ) {}

  get last(): Response {
    return this.responses.at(-1)!;
  }

  // The app.

  async app(family: Family = 'app'): Promise<App> {
    return readApp(await this.call('GET', `/api/sdk/${family}`));
  }

  async designatedVault(family: Family = 'app'): Promise<string | null> {
    return readDesignation(await this.call('GET', `/api/sdk/${family}/vault`)).vault_id;
  }

  async designateVault(vault_id: string | null, family: Family = 'app'): Promise<string | null> {
    return readDesignation(await this.call('PUT', `/api/sdk/${family}/vault`, { vault_id })).vault_id;
  }

  // Vaults.

  async createVault(name: string, more: JsonObject = {}): Promise<Vault> {
    return readVault(await this.call('POST', '/api/sdk/secret-vaults', { name, ...more }));
  }

  async vaults(): Promise<Vault[]> {
    return list(readVault)(object(await this.call('GET', '/api/sdk/secret-vaults')).secret_vaults);
  }

  async vault(id: string): Promise<Vault> {
    return readVault(await this.call('GET', vaultPath(id)));
  }

  async updateVault(id: string, changes: { metadata?: JsonObject }, ifMatch?: string): Promise<Vault> {
    return readVault(await this.call('PATCH', vaultPath(id), changes, ifMatch));
  }

  async deleteVault(id: string): Promise<void> {
    await this.call('DELETE', vaultPath(id));
  }

  // Secrets.

  async secrets(vault: string): Promise<Secret[]> {
    return list(readSecret)(object(await this.call('GET', `${vaultPath(vault)}/secrets`)).secrets);
  }

  async putSecret(vault: string, name: string, value: string, ifMatch?: string): Promise<Secret> {
    return readSecret(await this.call('PUT', secretPath(vault, name), { value }, ifMatch));
  }

  async deleteSecret(vault: string, name: string): Promise<void> {
    await this.call('DELETE', secretPath(vault, name));
  }

  // Agents, and what they may call.

  async tools() {
    return list(readTool)(object(await this.call('GET', '/api/sdk/tools')).tools);
  }

  async execute(code: string, more: JsonObject = {}): Promise<Execution> {
    return readExecution(await this.call('POST', '/api/sdk/sandbox/execute', { code, ...more }));
  }

  // The audit.

  async auditLog(query: Query = {}) {
    return readAuditPage(await this.call('GET', `/api/sdk/audit-log${encoded(query)}`));
  }

  async exportAuditLog(query: Query = {}): Promise<string> {
    const response = await this.send('GET', `/api/sdk/audit-log/export${encoded(query)}`);
    throwRefusal(response);
    return response.body;
  }

  // The wire.

  /** Sends JSON and returns the JSON of a success; null for one without a body. */
  async call(method: string, path: string, body?: JsonObject, ifMatch?: string): Promise<Json> {
    const headers: Record<string, string> = {};
    if (ifMatch !== undefined) headers['If-Match'] = ifMatch;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const response = await this.send(method, path, body && JSON.stringify(body), headers);
    throwRefusal(response);
    return response.status === 204 ? null : JSON.parse(response.body);
  }

  /** Sends a request and returns the answer, even a refusal. */
  async send(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Response> {
    const answer = await fetch(this.baseUrl + path, {
      method,
      headers: { ...this.headers, ...headers },
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const response = { status: answer.status, headers: answer.headers, body: await answer.text() };
    this.responses.push(response);
    return response;
  }
}

export function vaultPath(id: string): string {
  return `/api/sdk/secret-vaults/${id}`;
}

function secretPath(vault: string, name: string): string {
  return `${vaultPath(vault)}/secrets/${encodeURIComponent(name)}`;
}

function encoded(query: Query): string {
  const pairs = Object.entries(query).map(([name, value]): [string, string] => [name, `${value}`]);
  return `?${new URLSearchParams(pairs)}`;
}

export function throwRefusal(response: Response): void {
  if (response.status >= 400) throw ApiError.from(response.status, JSON.parse(response.body));
}
