"""A chat over a WebSocket: one connection, many turns.

    python examples/websocket_app.py

It prints what to try.
"""

import uvicorn
from openai import AsyncOpenAI
from stand_in import MODEL, model_server, port_to_serve
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from headroom import MemoryConfig, current_scope, turn, with_memory
from headroom.asgi import MemoryMiddleware, path_parameter

TOKENS = {"alices-token": "alice", "bobs-token": "bob"}  # yours are in a database, and harder to guess


def bearer_of_token(connection: HTTPConnection) -> str | None:
    return TOKENS.get(connection.query_params.get("token", ""))


async def chat(websocket: WebSocket) -> None:
    if current_scope().anonymous:
        await websocket.close(1008, "unknown token")
        return
    await websocket.accept()
    client = websocket.app.state.client
    async for text in websocket.iter_text():
        # What an agent notes for the turn alone (level="turn") is gone after it.
        async with turn():
            stream = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": text}], stream=True
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    await websocket.send_text(chunk.choices[0].delta.content)
            await websocket.send_text("\n")


def websocket_app(db_path: str = "websocket.db") -> Starlette:
    scoped = Middleware(
        MemoryMiddleware,
        user=bearer_of_token,
        session=path_parameter("/chats/{chat_id}"),
        memory=MemoryConfig(db_path=db_path),
    )
    app = Starlette(routes=[WebSocketRoute("/chats/{chat_id}", chat)], middleware=[scoped])
    app.state.client = with_memory(AsyncOpenAI())  # one for everybody
    return app


if __name__ == "__main__":
    port = port_to_serve()
    with model_server():
        print(f"""Try, in another terminal, and say “I prefer Python for backend work.”:
  websockets 'ws://127.0.0.1:{port}/chats/monday?token=alices-token'
Then, in a new one: “Which language should I use for backend work?”
  websockets 'ws://127.0.0.1:{port}/chats/tuesday?token=alices-token'""")
        uvicorn.run(websocket_app(), host="127.0.0.1", port=port, log_level="warning")
