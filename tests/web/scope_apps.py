"""Applications that tell their scope."""

from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from headroom.scope import Scope, current_scope


def told(scope: dict[str, Any]) -> Scope:
    """The scope that a response tells of."""
    return Scope(**scope)


async def tell_scope(_: Request) -> JSONResponse:
    return JSONResponse(asdict(current_scope()))


async def tell_scope_over_websocket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(asdict(current_scope()))
    await websocket.close()


def telling_app() -> Starlette:
    """An application that answers every request and every websocket with its scope."""
    return Starlette(
        routes=[
            WebSocketRoute("/{path:path}", tell_scope_over_websocket),
            Route("/{path:path}", tell_scope),
        ]
    )
