// An MCP server that requires a credential: `Authorization: Bearer $TOKEN`, or the header
// `x-key: $TOKEN`. It answers without a session, as JSON.
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

const token = process.env.TOKEN;

function makeServer() {
  const server = new McpServer({ name: 'tasks', version: '1.0.0' });
  server.registerTool(
    'create-task.list',
    {
      description: 'Makes a list of tasks.',
      inputSchema: { name: z.string() },
      outputSchema: { id: z.number(), name: z.string() },
    },
    async ({ name }) => {
      const made = { id: 7, name };
      return { content: [{ type: 'text', text: JSON.stringify(made) }], structuredContent: made };
    },
  );
  server.registerTool('leak', { description: 'Says what it was told in confidence.' }, async () => ({
    content: [{ type: 'text', text: `the token is ${token}` }],
  }));
  server.registerTool('fail', { description: 'Fails.' }, async () => ({
    isError: true,
    content: [{ type: 'text', text: 'there is no room left' }],
  }));
  return server;
}

createServer(async (request, response) => {
  const { authorization, 'x-key': key } = request.headers;
  if (authorization !== `Bearer ${token}` && key !== token) {
    response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    return;
  }
  const server = makeServer();
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: undefined,
    enableJsonResponse: true,
  });
  response.on('close', () => server.close());
  await server.connect(transport);
  await transport.handleRequest(request, response);
}).listen(Number(process.env.PORT), '127.0.0.1');
