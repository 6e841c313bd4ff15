// The parts of a check of the scenario: its name, its expectations, and a line with its result.

import { isDeepStrictEqual, inspect } from 'node:util';
import { ApiError } from './client.mjs';

/** A step of the scenario. It throws when something differs. */
type Check<S> = (scenario: S) => Promise<void>;

/** Runs every check in order, prints each result, and returns whether all passed. */
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

/** Requires this refusal, with a sentence beside the code. */
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
