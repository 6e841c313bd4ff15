// The whole contract, once through, with an independent client. See ../README.md.

import { env, exit } from 'node:process';
import { expect, expectRefusal, expectTrue, runAll } from './checks.mjs';
import { Client, readAuditEntry, throwRefusal, vaultPath } from './client.mjs';
import type { AuditEntry, Execution, Json, Secret, Vault } from './client.mjs';

const value = 'typescript-canary-e15b7f0d92a846c3';
const auditFields =
  'id,app_id,actor_user_id,actor_api_key_id,action,subject_type,subject_id,agent_version_id,session_id,metadata,created_at';

/** The state that checks pass on to the next one. */
class Scenario {
  readonly url = env.TAVORA_URL!;
  readonly key = env.TAVORA_API_KEY!;
  readonly revokedKey = env.TAVORA_REVOKED_API_KEY!;
  readonly client = new Client(this.url, { 'X-API-Key': this.key });
  readonly other = new Client(this.url, { 'X-API-Key': env.TAVORA_OTHER_API_KEY! });
  main!: Vault;
  second!: Vault;
  putRequestId: string | null = null;

  /** A client with other credentials. Its responses count as the scenario's. */
  as(headers: Record<string, string>): Client {
    return new Client(this.url, headers, this.client.responses);
  }

  async secret(name: string): Promise<Secret> {
    const secret = (await this.client.secrets(this.main.id)).find((secret) => secret.name === name);
    if (secret === undefined) throw new Error(`there is no secret ${name}`);
    return secret;
  }

  /** Whether the app has the search tool's credential, by the list of tools. */
  async credentialIsPresent(): Promise<boolean> {
    const search = (await this.client.tools()).find((tool) => tool.name === 'brave-search')!;
    expect([search.operations.length, search.credentials.length], [1, 1]);
    expect(search.operations[0]!.name, 'search');
    expect(search.operations[0]!.input_schema.type, 'object');
    expect(search.credentials[0]!.name, 'brave_api_key');
    return search.credentials[0]!.present;
  }

  expectNoValue(): void {
    expectTrue(!this.client.last.body.includes(value), 'the answer has the value');
  }

  expectNoContent(): void {
    expect([this.client.last.status, this.client.last.body], [204, '']);
  }

  expectJson(wanted: Json): void {
    expect<Json>(JSON.parse(this.client.last.body), wanted);
  }

  header(name: string): string | null {
    return this.client.last.headers.get(name);
  }
}

type Checks = Record<string, (s: Scenario) => Promise<void>>;

const app: Checks = {
  'app-is-described': async (s) => {
    const app = await s.client.app();
    expect(app.id[14], '7');
    expectTrue(app.name !== '' && /^[a-z0-9-]+$/.test(app.slug), app);
    expectTrue(Date.parse(app.created_at) <= Date.parse(app.updated_at), app);
    expect(app.vault_id, null);
  },
  'app-answers-as-project-too': async (s) => {
    expect(await s.client.app('project'), await s.client.app('app'));
  },
  'no-vault-is-designated-at-first': async (s) => {
    expect(await s.client.designatedVault(), null);
    s.expectJson({ vault_id: null });
  },
  'tools-name-missing-credentials': async (s) => {
    expect(await s.credentialIsPresent(), false);
  },
};

const vaults: Checks = {
  'vault-is-created': async (s) => {
    const metadata = { team: 'search', nested: { list: [1, 'two', null] } };
    s.main = await s.client.createVault('main', { metadata });
    expect(s.client.last.status, 201);
    expect(s.main.id[14], '7');
    const app = await s.client.app();
    expect([s.main.app_id, s.main.project_id], [app.id, app.id]);
    expect<Json>([s.main.name, s.main.metadata], ['main', metadata]);
  },
  'vault-name-is-taken': async (s) => {
    await expectRefusal(409, 'vault_name_taken', s.client.createVault('main'));
  },
  'vault-without-metadata-has-none': async (s) => {
    s.second = await s.client.createVault('Klucze & Schlüssel 鍵');
    expect<Json>([s.second.name, s.second.metadata], ['Klucze & Schlüssel 鍵', {}]);
  },
  'vaults-are-listed-oldest-first': async (s) => {
    expect(await s.client.vaults(), [s.main, s.second]);
    expect(await s.other.vaults(), []);
  },
  'vault-is-fetched': async (s) => {
    expect(await s.client.vault(s.main.id), s.main);
  },
  'metadata-is-replaced': async (s) => {
    const changed = await s.client.updateVault(s.main.id, { metadata: { owner: 'search' } });
    expectTrue(Date.parse(changed.updated_at) >= Date.parse(s.main.updated_at), changed);
    expect(changed, { ...s.main, metadata: { owner: 'search' }, updated_at: changed.updated_at });
  },
  'omitted-metadata-is-kept': async (s) => {
    expect((await s.client.updateVault(s.main.id, {})).metadata, { owner: 'search' });
  },
  'unknown-field-is-refused': async (s) => {
    const refusal = await expectRefusal(400, 'unknown_field', s.client.createVault('brief', { metdata: {} }));
    expect<Json>(refusal.details, { did_you_mean: 'metadata', field: 'metdata' });
    await s.client.deleteVault((await s.client.createVault('brief')).id);
    s.expectNoContent();
  },
  'vault-changes-only-as-expected': async (s) => {
    await s.client.vault(s.main.id);
    const stale = s.header('etag')!;
    await s.client.updateVault(s.main.id, { metadata: { turn: 1 } }, stale);
    const fresh = s.header('etag');
    await expectRefusal(
      412,
      'precondition_failed',
      s.client.updateVault(s.main.id, { metadata: { turn: 2 } }, stale),
    );
    expect((await s.client.vault(s.main.id)).metadata, { turn: 1 });
    expect(s.header('etag'), fresh);
  },
};

const designation: Checks = {
  'vault-is-designated': async (s) => {
    expect(await s.client.designateVault(s.main.id), s.main.id);
    expect(s.client.last.status, 200);
    s.expectJson({ vault_id: s.main.id });
    expect([await s.client.designatedVault(), (await s.client.app()).vault_id], [s.main.id, s.main.id]);
  },
  'designation-answers-as-project-too': async (s) => {
    expect(await s.client.designateVault(s.second.id, 'project'), s.second.id);
    expect(await s.client.designatedVault('project'), s.second.id);
    expect(await s.client.designatedVault('app'), s.second.id);
  },
  'designation-needs-its-field': async (s) => {
    const refusal = await expectRefusal(400, 'invalid_field', s.client.call('PUT', '/api/sdk/app/vault', {}));
    expect<Json>(refusal.details, { field: 'vault_id' });
    expect(await s.client.designatedVault(), s.second.id);
  },
  'designation-of-another-apps-vault-is-not-found': async (s) => {
    await expectRefusal(404, 'not_found', s.other.designateVault(s.main.id));
    expect(await s.other.designatedVault(), null);
  },
  'designation-is-cleared': async (s) => {
    expect(await s.client.designateVault(null), null);
    expect(s.client.last.status, 200);
    s.expectJson({ vault_id: null });
    expect([await s.client.designatedVault(), (await s.client.app()).vault_id], [null, null]);
  },
};

const secrets: Checks = {
  'secret-is-redacted': async (s) => {
    const secret = await s.client.putSecret(s.main.id, 'first', value);
    s.putRequestId = s.header('x-request-id');
    expect(s.client.last.status, 200);
    expect([secret.vault_id, secret.name, secret.version], [s.main.id, 'first', 1]);
    expectTrue(/^[0-9a-f]{32}$/.test(secret.kek_id), secret.kek_id);
    s.expectNoValue();
    expectTrue(!('value' in JSON.parse(s.client.last.body)), 'the answer has a value');
  },
  'secret-name-is-percent-encoded': async (s) => {
    const encoded = [...Buffer.from('_B.2-c')].map((byte) => `%${byte.toString(16).toUpperCase()}`).join('');
    await s.client.call('PUT', `${vaultPath(s.main.id)}/secrets/${encoded}`, { value });
    expect(JSON.parse(s.client.last.body).name, '_B.2-c');
    expect((await s.client.putSecret(s.main.id, '_B.2-c', value)).version, 2);
  },
  'secret-is-overwritten': async (s) => {
    const before = await s.secret('first');
    const after = await s.client.putSecret(s.main.id, 'first', '"\\\n\t\0🗝 of another kind');
    expect([after.version, after.created_at], [2, before.created_at]);
    expectTrue(Date.parse(after.updated_at) >= Date.parse(before.updated_at), after);
  },
  'secrets-are-listed-by-name': async (s) => {
    await s.client.putSecret(s.main.id, 'a.last.one', value);
    const names = (await s.client.secrets(s.main.id)).map((secret) => secret.name);
    expect(names, ['_B.2-c', 'a.last.one', 'first']);
    s.expectNoValue();
    expect(await s.client.secrets(s.second.id), []);
  },
  'secret-changes-only-as-expected': async (s) => {
    await s.client.putSecret(s.main.id, 'first', value);
    const stale = s.header('etag')!;
    const secret = await s.client.putSecret(s.main.id, 'first', value, stale);
    expect(secret.version, 4);
    await expectRefusal(412, 'precondition_failed', s.client.putSecret(s.main.id, 'first', value, stale));
    expect(await s.secret('first'), secret);
  },
  'secret-of-64-kib-is-stored': async (s) => {
    expect((await s.client.putSecret(s.main.id, 'long', 'é'.repeat(32 * 1024))).version, 1);
  },
  'secret-over-64-kib-is-refused': async (s) => {
    const long = `${'é'.repeat(32 * 1024)}x`;
    await expectRefusal(400, 'invalid_secret_value', s.client.putSecret(s.main.id, 'long', long));
    expect((await s.secret('long')).version, 1);
  },
  'empty-secret-is-refused': async (s) => {
    await expectRefusal(400, 'invalid_secret_value', s.client.putSecret(s.main.id, 'empty', ''));
  },
  'secret-name-is-refused': async (s) => {
    for (const name of ['with space', 'a/b', '.first', 'naïve', 'n'.repeat(256)]) {
      await expectRefusal(400, 'invalid_secret_name', s.client.putSecret(s.main.id, name, value));
    }
    expect((await s.client.secrets(s.main.id)).length, 4);
  },
  'secret-is-deleted-twice': async (s) => {
    for (let turn = 0; turn < 2; turn += 1) {
      await s.client.deleteSecret(s.main.id, 'long');
      s.expectNoContent();
    }
    expect((await s.client.secrets(s.main.id)).length, 3);
  },
  'names-are-not-cached': async (s) => {
    await s.client.secrets(s.main.id);
    expect(s.header('cache-control'), 'no-store');
    await s.client.putSecret(s.main.id, 'first', value);
    expect(s.header('cache-control'), 'no-store, no-transform');
  },
};

const agents: Checks = {
  'program-gives-its-result': async (s) => {
    const code = "console.log('one', input.b); return { sum: input.a + 1 }";
    const run = await s.client.execute(code, { input: { a: 1, b: 'two' } });
    expect<Json>([run.ok, run.result], [true, { sum: 2 }]);
    expect(run.error, undefined);
    expect<Json>([run.logs, run.calls], [['one two'], []]);
    expectTrue(run.duration_ms >= 0, run);
  },
  'program-throws': async (s) => {
    const run = await s.client.execute("throw new TypeError('not today')");
    expect(s.client.last.status, 200);
    expect<Json>([run.ok, run.result], [false, null]);
    expect(run.error, { name: 'TypeError', code: null, message: 'not today' });
  },
  'program-hits-its-time-limit': async (s) => {
    const run = await s.client.execute('for (;;) {}', { timeout_ms: 300 });
    expect(s.client.last.status, 200);
    expect([run.ok, run.error?.code], [false, 'limit_exceeded']);
  },
  'program-needs-a-credential': async (s) => {
    const without = await s.client.execute("return search('rust')");
    expect(refusalOf(without), [false, 'ToolError', 'no_vault_designated']);
    await s.client.designateVault(s.main.id);
    const run = await s.client.execute("return search('rust')");
    expect(refusalOf(run), [false, 'ToolError', 'secret_not_found']);
    expect(callsOf(run), [['brave-search', 'search', false]]);
  },
  'program-searches': async (s) => {
    await s.client.putSecret(s.main.id, 'brave_api_key', value);
    const run = await s.client.execute("return search('rust').map(r => r.title)");
    expectTrue(run.ok && run.error === undefined, run);
    expect((run.result as Json[]).length, 1);
    expect(callsOf(run), [['brave-search', 'search', true]]);
  },
  'program-sees-no-credential': async (s) => {
    const run = await s.client.execute("const [r] = search('rust'); console.log(r.title); return r");
    expectTrue(run.ok && run.logs.length === 1, run);
    s.expectNoValue();
  },
  'tools-name-present-credentials': async (s) => {
    expect(await s.credentialIsPresent(), true);
  },
};

const audit: Checks = {
  'audit-is-newest-first': async (s) => {
    const page = await s.client.auditLog({ limit: 1000 });
    expect([page.offset, page.total], [0, page.entries.length]);
    const times = page.entries.map((entry) => Date.parse(entry.created_at));
    expect(times, [...times].sort((a, b) => b - a));
    const { id } = await s.client.app();
    expectTrue(page.entries.every((entry) => entry.app_id === id), 'an entry of another app');
    expectTrue(page.total > 20, page.total);
  },
  'audit-is-paged': async (s) => {
    const whole = await s.client.auditLog({ limit: 1000 });
    const paged: AuditEntry[] = [];
    for (let offset = 0; offset < whole.total; offset += 7) {
      const page = await s.client.auditLog({ limit: 7, offset });
      expect([page.limit, page.offset, page.total], [7, offset, whole.total]);
      paged.push(...page.entries);
    }
    expect(paged, whole.entries);
  },
  'audit-is-filtered-by-action': async (s) => {
    const page = await s.client.auditLog({ action: 'app.vault_designated' });
    expect(page.total, 3);
    expectTrue(page.entries.every((entry) => entry.action === 'app.vault_designated'), page);
  },
  'audit-is-filtered-by-subject': async (s) => {
    const { entries } = await s.client.auditLog({ subject_type: 'vault' });
    expectTrue(entries.every((entry) => entry.subject_type === 'vault'), entries);
    const actions = new Set(entries.map((entry) => entry.action));
    expect(actions, new Set(['vault.created', 'vault.updated', 'vault.deleted']));
  },
  'audit-is-filtered-by-time': async (s) => {
    const hourMs = 3_600_000;
    const before = new Date(Date.now() - hourMs).toISOString();
    const after = new Date(Date.now() + hourMs).toISOString();
    const whole = (await s.client.auditLog()).total;
    expect((await s.client.auditLog({ from: after })).total, 0);
    expect((await s.client.auditLog({ to: before })).total, 0);
    expect((await s.client.auditLog({ from: before, to: after })).total, whole);
  },
  'audit-names-key-and-request': async (s) => {
    const { entries } = await s.client.auditLog({ action: 'secret.put' });
    const first = entries.at(-1)!;
    expect<Json | undefined>(first.metadata.request_id, s.putRequestId);
    expect(first.subject_id, `${s.main.id}/first`);
    expectTrue(entries.every((entry) => entry.actor_api_key_id !== null), entries);
    s.expectNoValue();
  },
  'audit-is-exported-as-json': async (s) => {
    const { entries } = await s.client.auditLog({ limit: 1000 });
    const exported = (JSON.parse(await s.client.exportAuditLog()) as Json[]).map(readAuditEntry);
    expect(exported, entries);
    expect(mediaType(s.header('content-type')), 'application/json');
    expectTrue(/^attachment/.test(s.header('content-disposition') ?? ''), s.header('content-disposition'));
  },
  'audit-is-exported-as-csv': async (s) => {
    const { entries } = await s.client.auditLog({ action: 'secret.put' });
    const file = await s.client.exportAuditLog({ format: 'csv', action: 'secret.put' });
    expect(mediaType(s.header('content-type')), 'text/csv');
    const [head, ...rows] = file.trimEnd().split('\r\n');
    expect(head, auditFields);
    expect(rows.map((row) => row.split(',')[0]), entries.map((entry) => entry.id));
  },
};

const credentials: Checks = {
  'bearer-is-accepted': async (s) => {
    expect(await s.as({ Authorization: `Bearer ${s.key}` }).app(), await s.client.app());
  },
  'missing-key-is-refused': async (s) => {
    await expectRefusal(401, 'unauthorized', s.as({}).app());
  },
  'malformed-key-is-refused': async (s) => {
    await expectRefusal(401, 'unauthorized', s.as({ 'X-API-Key': 'letmein' }).app());
  },
  'unknown-key-is-refused': async (s) => {
    const changed = s.key.slice(0, -1) + (s.key.endsWith('A') ? 'B' : 'A');
    await expectRefusal(401, 'unauthorized', s.as({ 'X-API-Key': changed }).app());
  },
  'revoked-key-is-refused': async (s) => {
    await expectRefusal(401, 'unauthorized', s.as({ 'X-API-Key': s.revokedKey }).app());
  },
  'another-apps-vault-is-not-found': async (s) => {
    const before = [await s.client.vault(s.main.id), await s.client.secrets(s.main.id)];
    await expectRefusal(404, 'not_found', s.other.vault(s.main.id));
    await expectRefusal(404, 'not_found', s.other.updateVault(s.main.id, { metadata: {} }));
    await expectRefusal(404, 'not_found', s.other.deleteVault(s.main.id));
    await expectRefusal(404, 'not_found', s.other.secrets(s.main.id));
    await expectRefusal(404, 'not_found', s.other.putSecret(s.main.id, 'first', value));
    await expectRefusal(404, 'not_found', s.other.deleteSecret(s.main.id, 'first'));
    expect([await s.client.vault(s.main.id), await s.client.secrets(s.main.id)], before);
  },
};

const unreadable: Checks = {
  'long-body-is-refused': async (s) => {
    await expectRefusal(413, 'body_too_large', s.client.createVault('x'.repeat(1024 * 1024)));
  },
  'other-content-type-is-refused': async (s) => {
    await expectRefusal(415, 'unsupported_media_type', create(s, '{"name": "plain"}', 'text/plain'));
  },
  'bad-json-is-refused': async (s) => {
    await expectRefusal(400, 'invalid_json', create(s, '{"name": ', 'application/json'));
  },
  'wrong-type-names-its-field': async (s) => {
    const request = s.client.call('POST', '/api/sdk/secret-vaults', { name: 7 });
    expect<Json>((await expectRefusal(400, 'invalid_field', request)).details, { field: 'name' });
  },
  'other-method-is-refused': async (s) => {
    await expectRefusal(405, 'method_not_allowed', s.client.call('DELETE', '/api/sdk/secret-vaults'));
    expectTrue(s.header('allow')?.includes('POST') ?? false, s.header('allow'));
  },
  'unknown-route-is-not-found': async (s) => {
    await expectRefusal(404, 'not_found', s.client.call('GET', '/api/sdk/secret-vault'));
    expect((await s.client.vaults()).map((vault) => vault.name), [s.main.name, s.second.name]);
  },
};

const end: Checks = {
  'vault-is-deleted-with-its-secrets': async (s) => {
    await s.client.deleteVault(s.main.id);
    s.expectNoContent();
    expect(await s.client.designatedVault(), null);
    await expectRefusal(404, 'not_found', s.client.secrets(s.main.id));
    await expectRefusal(404, 'not_found', s.client.deleteVault(s.main.id));
    expect(await s.client.vaults(), [s.second]);
  },
  'every-response-has-its-request-id': async (s) => {
    const responses = [...s.client.responses, ...s.other.responses];
    const ids = new Set(responses.map((response) => response.headers.get('x-request-id')));
    expect(ids.size, responses.length);
    expectTrue(!ids.has(null) && ids.size > 100, ids.size);
  },
};

function refusalOf(run: Execution): unknown[] {
  return [run.ok, run.error?.name, run.error?.code];
}

function callsOf(run: Execution): unknown[] {
  return run.calls.map((call) => [call.tool, call.operation, call.ok]);
}

/** Creates a vault with an unchanged body. */
async function create(s: Scenario, body: string, type: string): Promise<void> {
  throwRefusal(await s.client.send('POST', '/api/sdk/secret-vaults', body, { 'Content-Type': type }));
}

function mediaType(header: string | null): string | undefined {
  return header?.split(';')[0];
}

const checks = {
  ...app,
  ...vaults,
  ...designation,
  ...secrets,
  ...agents,
  ...audit,
  ...credentials,
  ...unreadable,
  ...end,
};
exit((await runAll(checks, new Scenario())) ? 0 : 1);
