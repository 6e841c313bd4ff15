// An MCP server with everything that a list and a result may hold, on the TypeScript SDK 1 or 2.
// The arguments choose the SDK and the transport: stream (with sessions), json (without, as JSON)
// or, on 2, modern (both eras, without sessions).
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';

const [sdk, way] = process.argv.slice(2);
const PAGE = 100;
const ODD = ['calendar.read', 'a/b', '日本', '__proto__', 'constructor', 'then', 'with space', 'é"\\', '-'];
const KINDS = ['long', 'media', 'structured', 'progress', 'change'];

let added = false;
function tools() {
  const names = Array.from({ length: 300 }, (_, at) => `tool-${at}`).concat(ODD, KINDS, added ? ['added'] : []);
  return names.map((name) => ({
    name,
    title: `The tool ${name}`,
    description: 'Gives its name.',
    inputSchema: { type: 'object' },
    annotations: { readOnlyHint: true },
  }));
}

function list({ params }) {
  const from = Number(params?.cursor ?? 0);
  const all = tools();
  const next = from + PAGE < all.length ? { nextCursor: String(from + PAGE) } : {};
  return { tools: all.slice(from, from + PAGE), ...next };
}

const text = (it) => ({ type: 'text', text: it });
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=';

async function call({ params: { name, arguments: given, _meta } }, notify) {
  switch (name) {
    case 'long':
      return { content: [text('ü'.repeat(given.length))] };
    case 'media':
      return {
        content: [
          { type: 'image', data: PIXEL, mimeType: 'image/png' },
          { type: 'audio', data: 'AAAA', mimeType: 'audio/wav' },
          { type: 'resource', resource: { uri: 'test://a', mimeType: 'text/plain', text: 'a' } },
          { type: 'resource_link', uri: 'test://b', name: 'b' },
        ],
      };
    case 'structured':
      return { content: [text('{}')], structuredContent: { list: [1, 2.5, null], nested: { 日本: true } } };
    case 'progress':
      for (let progress = 0; progress < 5; progress += 1) {
        await notify({
          method: 'notifications/progress',
          params: { progressToken: _meta.progressToken, progress, total: 5 },
        });
      }
      return { content: [text('told')] };
    case 'change':
      added = true;
      await notify({ method: 'notifications/tools/list_changed' });
      return { content: [text('changed')] };
    default:
      return { content: [text(`${name} got ${JSON.stringify(given)}`)] };
  }
}

const info = { name: 'rich', version: '1.0.0' };
const options = { capabilities: { tools: { listChanged: true } } };
let makeServer;
let Transport;
let handler;
if (sdk === '1') {
  const { Server } = await import('@modelcontextprotocol/sdk/server/index.js');
  const { ListToolsRequestSchema, CallToolRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
  ({ StreamableHTTPServerTransport: Transport } = await import('@modelcontextprotocol/sdk/server/streamableHttp.js'));
  makeServer = () => {
    const server = new Server(info, options);
    server.setRequestHandler(ListToolsRequestSchema, list);
    server.setRequestHandler(CallToolRequestSchema, (request, extra) => call(request, extra.sendNotification));
    return server;
  };
} else {
  const { Server, createMcpHandler } = await import('@modelcontextprotocol/server');
  const { NodeStreamableHTTPServerTransport, toNodeHandler } = await import('@modelcontextprotocol/node');
  Transport = NodeStreamableHTTPServerTransport;
  makeServer = () => {
    const server = new Server(info, options);
    server.setRequestHandler('tools/list', list);
    server.setRequestHandler('tools/call', (request, context) => call(request, context.mcpReq.notify));
    return server;
  };
  if (way === 'modern') handler = toNodeHandler(createMcpHandler(makeServer));
}

const sessions = new Map();
async function transportOf(request, response) {
  const known = sessions.get(request.headers['mcp-session-id']);
  if (known !== undefined) return known;
  const server = makeServer();
  const transport = new Transport(
    way === 'json'
      ? { sessionIdGenerator: undefined, enableJsonResponse: true }
      : { sessionIdGenerator: randomUUID, onsessioninitialized: (id) => sessions.set(id, transport) },
  );
  if (way === 'json') response.on('close', () => server.close());
  transport.onclose = () => sessions.delete(transport.sessionId);
  await server.connect(transport);
  return transport;
}

createServer(async (request, response) => {
  if (request.url === '/sessions') {
    response.end(String(sessions.size));
  } else if (handler !== undefined) {
    await handler(request, response);
  } else {
    await (await transportOf(request, response)).handleRequest(request, response);
  }
}).listen(Number(process.env.PORT), '127.0.0.1');
