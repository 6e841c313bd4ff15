// The official client for JavaScript against the host; see README.md.
import OpenAI from 'openai';

const baseURL = process.env.CHAT_URL;
const client = new OpenAI({ baseURL, apiKey: process.env.CHAT_API_KEY });

let failed = 0;
async function check(name, work) {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error?.stack ?? error}`);
  }
}

function same(found, expected) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${left} is not ${right}`);
}

async function fails(work, kind, status, code) {
  let thrown;
  try {
    await work;
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof kind)) throw new Error(`${thrown} is no ${kind.name}`);
  same([thrown.status, thrown.code], [status, code]);
  return thrown;
}

const ask = (text, more = {}) => ({ model: 'gpt-4o', messages: [{ role: 'user', content: text }], ...more });
const complete = (text, more) => client.chat.completions.create(ask(text, more));

await check('plain', async () => {
  const completion = await complete('plain');
  same(completion.choices[0].message.content, 'Hello there');
  same(completion.usage.total_tokens, 12);
});

await check('streamed', async () => {
  const parts = [];
  for await (const chunk of await complete('streamed', { stream: true })) parts.push(chunk.choices[0].delta.content);
  same(parts, ['Hello', ' there', ' \u{1f642}']);
});

await check('stream left early', async () => {
  for await (const chunk of await complete('endless', { stream: true })) {
    same(chunk.choices[0].delta.content, 'more');
    break;
  }
});

await check('tool calls', async () => {
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
  const completion = await complete('tools', { tools });
  const [call] = completion.choices[0].message.tool_calls;
  same([call.function.name, JSON.parse(call.function.arguments)], ['weather', { city: 'Paris' }]);
});

await check('models', async () => {
  const ids = [];
  for await (const model of await client.models.list()) ids.push(model.id);
  same(ids, ['openai/gpt-4o', 'openai/gpt-4o-mini']);
});

await check('unknown model', async () => {
  const error = await fails(complete('x', { model: 'claude' }), OpenAI.BadRequestError, 400, 'unknown_model');
  same(error.param, 'model');
});

await check('no messages', async () => {
  const error = await fails(complete('x', { messages: [] }), OpenAI.BadRequestError, 400, 'invalid_field');
  same(error.param, 'messages');
});

await check('wrong key', async () => {
  const stranger = new OpenAI({ baseURL, apiKey: 'tvr_nonsense' });
  await fails(stranger.chat.completions.create(ask('x')), OpenAI.AuthenticationError, 401, 'unauthorized');
});

await check('path that is not there', async () => {
  await fails(client.embeddings.create({ model: 'x', input: 'x' }), OpenAI.NotFoundError, 404, 'not_found');
});

await check('refused credential, asked once', async () => {
  const error = await fails(complete('refused'), OpenAI.InternalServerError, 502, 'upstream_auth');
  if (!error.message.includes('openai_api_key')) throw error;
});

await check('rate limit', async () => {
  const patient = client.withOptions({ maxRetries: 0 });
  const asked = patient.chat.completions.create(ask('limited'));
  const error = await fails(asked, OpenAI.RateLimitError, 429, 'rate_limit_exceeded');
  same(error.headers.get('retry-after'), '90');
});

await check('broken stream', async () => {
  const parts = [];
  const read = async () => {
    for await (const chunk of await complete('broken', { stream: true })) parts.push(chunk.choices[0].delta.content);
  };
  const error = await fails(read(), OpenAI.APIError, undefined, 'upstream_error');
  same(parts, ['Hello']);
  if (!error.message.includes('broke off')) throw error;
});

process.exitCode = failed === 0 ? 0 : 1;
