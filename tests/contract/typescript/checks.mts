// What one check of the scenario needs: a name, what it expects, and a line that says how it went.

import { isDeepStrictEqual, inspect } from 'node:util';
import { ApiError } from './client.mjs';

/** A step of the scenario. It throws when something differs. */
type Check<S> = (scenario: S) => Promise<void>;

/** Runs every check in order, and says of each how it went; whether all did well. */
export async function runAll<S>(checks: Record<string, Check<S>>, scenario: S): Promise<boolean> {
  let well = true;
  for (const [name, run] of Object.entries(checks)) {
    try {
      await run(scenario);
      console.log(`ok ${name}`);
    } catch (error) {
      well = false;
      console.log(`FAILED ${name}: ${error}`.replaceAll('\n', ' '));
    }
  }
  return well;
}

export function expect<T>(found: T, wanted: T): void {
  expectTrue(isDeepStrictEqual(found, wanted), `wanted ${inspect(wanted)}, found ${inspect(found)}`);
}

export function expectTrue(holds: boolean, what: unknown): void {
  if (!holds) throw new Error(typeof what === 'string' ? what : inspect(what));
}

/** The request is refused like that, with a sentence beside the code. */
export async function expectRefusal(status: number, code: string, request: Promise<unknown>): Promise<ApiError> {
  const refusal = await request.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(refusal instanceof ApiError)) throw refusal ?? new Error(`wanted ${status} ${code}, and it was done`);
  expect([refusal.status, refusal.code], [status, code]);
  expectTrue(refusal.message.length > 10, `no sentence: ${refusal.message}`);
  return refusal;
}
