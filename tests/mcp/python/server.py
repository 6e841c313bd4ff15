# An MCP server on Python's libraries: the official one, 1.x and 2.x, and fastmcp. The arguments
# choose the library and the transport: stdio, sse, stream (with sessions), json (without). With
# TOKEN set it requires that bearer token.
import os
import sys

library, way = sys.argv[1:]
is_json = way == "json"
# fastmcp reads these variables where its functions have no argument for it.
os.environ["FASTMCP_JSON_RESPONSE"] = os.environ["FASTMCP_STATELESS_HTTP"] = str(is_json).lower()
where = {"host": "127.0.0.1", "port": int(os.environ.get("PORT", "0"))}
how = {"json_response": is_json, "stateless_http": is_json}

if library == "fastmcp":
    from fastmcp import Context, FastMCP

    auth = None
    if token := os.environ.get("TOKEN"):
        from fastmcp.server.auth.providers.jwt import StaticTokenVerifier

        auth = StaticTokenVerifier(tokens={token: {"client_id": "tests", "scopes": []}})
    server = FastMCP("numbers", auth=auth)
    runs = {"sse": ("sse", where), "stream": ("http", where), "json": ("http", where)}
else:
    try:
        from mcp.server.mcpserver import Context, MCPServer

        server = MCPServer("numbers")
        runs = {"sse": ("sse", where)}
        runs["stream"] = runs["json"] = ("streamable-http", where | how)
    except ImportError:
        from mcp.server.fastmcp import Context, FastMCP

        server = FastMCP("numbers", **where, **how)
        runs = {"sse": ("sse", {})}
        runs["stream"] = runs["json"] = ("streamable-http", {})


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def greet(name: str) -> list[str]:
    """Greets, in two lines."""
    return ["Hello,", name]


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("seven is not a colour")


@server.tool()
async def count(steps: int, ctx: Context) -> int:
    """Counts, and tells how far it is."""
    for step in range(steps):
        await ctx.report_progress(step, steps)
    return steps


@server.tool()
def long(length: int) -> str:
    """A text of that many characters."""
    return "é" * length


transport, settings = runs.get(way, ("stdio", {}))
server.run(transport, **settings)
