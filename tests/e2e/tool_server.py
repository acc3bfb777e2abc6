"""A real MCP server, from the protocol's own SDK, for the gateway to find tools on. Says where it is, then serves."""

import json
import socket
import sys

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.responses import Response

# What callers present, if they must.
TOKEN = sys.argv[1] if len(sys.argv) > 1 else None

server = MCPServer("weather", log_level="WARNING")


@server.tool()
def get_weather(city: str) -> str:
    """What the weather is like in a city."""
    return f"It rains in {city}"


@server.tool()
def get_time(city: str) -> str:
    """What time it is in a city."""
    raise ValueError(f"nobody has a clock in {city}")  # of which callers are told nothing


def guarded(app):
    """Turns away whoever does not present the token."""

    async def guard(scope, receive, send):
        if scope["type"] == "http" and TOKEN:
            presented = dict(scope["headers"]).get(b"authorization", b"").decode()
            if presented != f"Bearer {TOKEN}":
                await Response(status_code=401)(scope, receive, send)
                return
        await app(scope, receive, send)

    return guard


listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"}), flush=True)
config = uvicorn.Config(guarded(server.streamable_http_app()), log_level="warning")
uvicorn.Server(config).run(sockets=[listener])
