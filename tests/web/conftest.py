"""What the tests of the middlewares share."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
from scope_apps import telling_app
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import ASGIApp


@pytest.fixture
def scope_app() -> Starlette:
    """An application that answers every request and every websocket with its scope."""
    return telling_app()


@pytest.fixture(params=["asyncio", "trio"])
def connect(request: pytest.FixtureRequest) -> Callable[..., TestClient]:
    """Make a client of an ASGI application, which runs on asyncio and, in a second test, on trio."""

    def client(app: ASGIApp, **options: Any) -> TestClient:
        backend: Literal["asyncio", "trio"] = request.param
        return TestClient(app, backend=backend, **options)

    return client
