"""A chat with a login, whose answers stream, and which shows what it remembers about you.

    python examples/chat/app.py

Then open http://127.0.0.1:8000 as one user, and in a private window as another. The memories are in chat.db
in the current directory: stop it, start it again, and it still knows you.
"""

import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from openai import APIError, AsyncOpenAI
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from headroom import Memory, MemoryConfig, Scope, current_memory, with_memory
from headroom.asgi import MemoryMiddleware, session_key
from headroom.errors import InvalidScopeError

sys.path.append(str(Path(__file__).parent.parent))
from stand_in import MODEL, model_server, port_to_serve

HERE = Path(__file__).parent


class Visitor(BaseUser):
    """Somebody who has said a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.name

    @property
    def identity(self) -> str:
        """Whose memory it is."""
        return self.name.casefold()


class LoggedIn(AuthenticationBackend):
    """Whoever the session says has logged in."""

    async def authenticate(self, conn: HTTPConnection[Any]) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.session.get("name")
        return (AuthCredentials(["authenticated"]), Visitor(name)) if name else None


async def page(request: Request) -> Response:
    return FileResponse(HERE / ("chat.html" if request.user.is_authenticated else "login.html"))


async def style(_: Request) -> Response:
    return FileResponse(HERE / "style.css")


async def log_in(request: Request) -> Response:
    """A demonstration needs no password; yours does."""
    form = await request.form()
    name = str(form.get("name", "")).strip()
    try:
        Scope(Visitor(name).identity)  # checks that it can be an identifier
    except InvalidScopeError as error:
        return Response(f"Please choose another name: {error}", 400)
    request.session.update(name=name, chat=secrets.token_urlsafe(8))
    return RedirectResponse("/", 303)


async def log_out(request: Request) -> Response:
    request.session.clear()
    return RedirectResponse("/", 303)


@requires("authenticated")
async def start_over(request: Request) -> Response:
    """A new conversation: what was only about the last one is not brought up again."""
    request.session["chat"] = secrets.token_urlsafe(8)
    return Response(status_code=204)


@requires("authenticated")
async def answer(request: Request) -> Response:
    """One answer, as server-sent events: its text in pieces, and at the end which memories it was given."""
    try:
        messages = [
            {"role": message["role"], "content": str(message["content"])}
            for message in (await request.json())["messages"]
            if message["role"] in {"user", "assistant"}
        ]
    except (KeyError, TypeError, ValueError):
        return Response("send {messages: [{role, content}, ...]}", 400)

    async def events() -> AsyncIterator[str]:
        client = request.app.state.client
        try:
            stream = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
            async for chunk in stream:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    yield event("text", text)
        except APIError as error:
            yield event("failed", error.message)
        exchange = client.memory.last_exchange
        shown = exchange.shown.values() if exchange else ()
        yield event("end", [memory.id for memory in shown])

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@requires("authenticated")
async def remembered(request: Request) -> Response:
    """What is remembered about whoever asks."""
    memories = await current_memory().get_all()
    here = request.session["chat"]
    return JSONResponse(
        {"user": request.user.display_name, "memories": [described(m, here) for m in memories]}
    )


def described(memory: Memory, chat: str) -> dict[str, str]:
    reach = {None: "", chat: "this conversation"}.get(memory.session_id, "another conversation")
    return {
        "id": memory.id,
        "content": memory.content,
        "category": memory.category,
        "reach": reach,
        "since": memory.valid_from.isoformat(),
    }


@requires("authenticated")
async def forget(request: Request) -> Response:
    """Forget one memory, if it is of whoever asks, or all of them."""
    memory_id = request.path_params.get("id")
    if memory_id is None:
        await current_memory().clear()
    elif not await current_memory().delete(memory_id):
        return Response("You have no such memory.", 404)
    return Response(status_code=204)


def chat_app(db_path: str = "chat.db") -> Starlette:
    app = Starlette(
        routes=[
            Route("/", page),
            Route("/style.css", style),
            Route("/login", log_in, methods=["POST"]),
            Route("/logout", log_out, methods=["POST"]),
            Route("/chats", start_over, methods=["POST"]),
            Route("/messages", answer, methods=["POST"]),
            Route("/memories", remembered),
            Route("/memories", forget, methods=["DELETE"]),
            Route("/memories/{id}", forget, methods=["DELETE"]),
        ],
        # The first is the outermost: the session says who is logged in, and that says whose memory it is.
        middleware=[
            Middleware(
                SessionMiddleware,
                secret_key=os.environ.get("CHAT_SECRET_KEY", secrets.token_hex()),
                max_age=None,
            ),
            Middleware(AuthenticationMiddleware, backend=LoggedIn()),
            Middleware(MemoryMiddleware, session=session_key("chat"), memory=MemoryConfig(db_path=db_path)),
        ],
    )
    app.state.client = with_memory(AsyncOpenAI())  # one for everybody: each request says whom it is for
    return app


if __name__ == "__main__":
    port = port_to_serve()
    with model_server():
        print(f"Open http://127.0.0.1:{port}, say who you are, and tell it something about you, for example:")
        print("  I prefer Python for backend work.  /  I'm working on the billing service.")
        print("Then start a new conversation, and ask: What should I use for my next service?")
        uvicorn.run(chat_app(), host="127.0.0.1", port=port, log_level="warning")
