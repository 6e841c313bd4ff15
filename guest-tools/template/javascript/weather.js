// Trusted tool `weather`: one operation, `today`, which asks a weather service with the app's own
// credential. Copy it, and put your upstream in its place.
//
// The tool keeps nothing between calls, and no text of the upstream goes into an error. The host
// decides where the tool may connect to: `fetch` goes through its egress policy.

import { resolve } from 'tavora:platform/secrets@0.1.0';
import { get as setting } from 'wasi:config/store@0.2.0-rc.1';

// The name of the secret that this tool resolves.
const SECRET = 'weather_api_key';

// The input of `today`. `parse` checks the same.
const TODAY_SCHEMA = {
  type: 'object',
  properties: {
    city: { type: 'string', minLength: 1, maxLength: 100, description: 'For example: Lima' },
  },
  required: ['city'],
  additionalProperties: false,
};

const MAX_BODY_BYTES = 1024 * 1024;

// The contract's words for each cause, so that people see the same ones for every tool.
const REFUSALS = {
  'no-vault-designated': ['no_vault_designated', 'app has no vault designated'],
  'not-found': ['secret_not_found', `secret "${SECRET}" is not in the app's vault`],
  'not-granted': ['secret_not_granted', `secret "${SECRET}" is not granted to this tool`],
  unavailable: ['vault_unavailable', 'the vault is unavailable'],
};

export const tool = {
  describe() {
    const today = 'Today\'s weather in a city.';
    return [{ name: 'today', description: today, inputSchema: JSON.stringify(TODAY_SCHEMA) }];
  },

  async call(operation, input) {
    if (operation !== 'today') {
      throw toolError('unknown_operation', `weather has no operation "${operation}"; it has "today"`);
    }
    return await today(parse(input));
  },
};

/** The city. */
function parse(text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch {
    throw toolError('invalid_input', 'the input of today is not JSON');
  }
  const keys = given === null || typeof given !== 'object' ? [] : Object.keys(given);
  if (keys.length !== 1 || keys[0] !== 'city') {
    throw toolError('invalid_input', 'the input of today: an object with city and nothing else');
  }
  const { city } = given;
  if (typeof city !== 'string' || city === '' || [...city].length > 100) {
    throw toolError('invalid_input', 'the input of today: city has 1 to 100 characters');
  }
  return city;
}

async function today(city) {
  const baseUrl = setting('base_url');
  if (baseUrl === undefined) {
    throw toolError('tool_failed', "the setting base_url is missing; the operator must add it to the tool's config");
  }
  const url = `${baseUrl.replace(/\/+$/, '')}/today?city=${encodeURIComponent(city)}`;
  const { status, body } = await get(url, credential());
  if (status === 401 || status === 403) {
    throw toolError(
      'upstream_auth',
      `the weather service refused the credential in secret "${SECRET}" (HTTP ${status}); ` +
        "the app's owner must store a valid one",
    );
  }
  if (status !== 200) {
    throw toolError('upstream_error', `the weather service answered HTTP ${status}; try again later`);
  }
  try {
    const { temperature_c, sky } = JSON.parse(body);
    if (typeof temperature_c !== 'number' || typeof sky !== 'string') throw new TypeError();
    return JSON.stringify({ temperature_c, sky });
  } catch {
    throw toolError('upstream_error', 'the weather service answered something else than weather; try again later');
  }
}

/**
 * Resolves the secret at each call and never keeps it: a secret that was replaced or deleted a
 * moment ago must not be used again.
 */
function credential() {
  try {
    return resolve(SECRET);
  } catch (refused) {
    throw toolError(...REFUSALS[refused.payload.tag]);
  }
}

/** Sends one `GET`, with a bound on the size of the answer. The host bounds the waits. */
async function get(url, key) {
  let response;
  try {
    response = await fetch(url, { headers: { authorization: `Bearer ${key}` }, redirect: 'manual' });
  } catch {
    // `fetch` does not tell the reason.
    throw toolError(
      'upstream_unreachable',
      'the weather service cannot be reached, or the host does not let this tool send that; ' +
        "try again later, and see the host's audit",
    );
  }
  const pieces = [];
  let length = 0;
  try {
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      length += value.length;
      if (length > MAX_BODY_BYTES) throw new RangeError();
    }
  } catch {
    throw toolError(
      'upstream_error',
      'the weather service broke off its answer, or it is too long; try again later',
    );
  }
  const bytes = new Uint8Array(length);
  pieces.reduce((at, piece) => (bytes.set(piece, at), at + piece.length), 0);
  return { status: response.status, body: new TextDecoder().decode(bytes) };
}

/** An error that `call` throws becomes the error of its result. */
function toolError(code, message) {
  return Object.assign(new Error(message), { payload: { code, message } });
}
