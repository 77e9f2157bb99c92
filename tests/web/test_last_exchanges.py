"""A client's last exchange is not shown to whomever a WSGI server's thread serves next."""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from openai import OpenAI

from headroom import MemoryConfig, with_memory
from headroom.testing import ScriptedServer, memory_block
from headroom.wsgi import MemoryMiddleware

Serve: TypeAlias = Callable[..., str]


@pytest.fixture(params=["list", "generator"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    """Serve a request in this thread; the body says whose exchange the client showed."""
    with (
        ScriptedServer("Yes." + memory_block(["Likes secret chocolate"])) as server,
        OpenAI(base_url=server.base_url, api_key="any") as inner,
    ):
        client = with_memory(inner)

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
            start_response("200 OK", [])
            if environ["PATH_INFO"] == "/ask":
                client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Hello"}])
            exchange = client.memory.last_exchange
            yield b"nobody" if exchange is None else f"{exchange.scope.user_id}".encode()

        def listing_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return list(app(environ, start_response))

        scoped = MemoryMiddleware(
            listing_app if request.param == "list" else app,
            memory=MemoryConfig(db_path=tmp_path / "app.db"),
        )

        def serve(path: str, **environ: str) -> str:
            return b"".join(scoped({"PATH_INFO": path, **environ}, lambda *_: io.BytesIO().write)).decode()

        yield serve


def test_not_to_another_user(serve: Serve) -> None:
    assert serve("/ask", REMOTE_USER="alice") == "alice"
    assert serve("/why", REMOTE_USER="bob") == "nobody"
    assert serve("/ask", REMOTE_USER="bob") == "bob"


def test_not_to_a_request_of_nobody_which_leaves_none_behind(serve: Serve) -> None:
    assert serve("/ask", REMOTE_USER="alice") == "alice"
    assert serve("/why") == "nobody"
    assert serve("/ask") == "nobody"
    assert serve("/why", REMOTE_USER="alice") == "nobody"
