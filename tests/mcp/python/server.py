# An MCP server of Python's own library. The one argument says how it speaks.
import os
import sys

from mcp.server import MCPServer

server = MCPServer("numbers")


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


port = int(os.environ["PORT"])
match sys.argv[1]:
    case "sse":
        server.run("sse", host="127.0.0.1", port=port)
    case "stream":
        server.run("streamable-http", host="127.0.0.1", port=port)
    case "json":
        server.run("streamable-http", host="127.0.0.1", port=port, json_response=True, stateless_http=True)
