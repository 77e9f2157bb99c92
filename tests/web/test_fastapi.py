"""FastAPI: dependencies, synchronous ones included, say who the user is."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header
from scope_apps import told
from starlette.testclient import TestClient

from headroom.asgi import MemoryMiddleware
from headroom.decorators import Arg, remember
from headroom.scope import Scope, bind, current_scope

Connect: TypeAlias = Callable[..., TestClient]
User = Annotated[str, Header()]
ALICE = {"user": "alice"}


def synchronous(user: User) -> str:
    bind(user_id=user)
    return user


async def asynchronous(user: User) -> str:
    bind(user_id=user)
    return user


def synchronous_with_teardown(user: User) -> Iterator[str]:
    bind(user_id=user)
    yield user


async def asynchronous_with_teardown(user: User) -> AsyncIterator[str]:
    with bind(user_id=user):
        yield user


class Guard:
    """A dependency of a class, as FastAPI's security tools are."""

    def __call__(self, user: User) -> str:
        _ = bind(user_id=user)
        return user


def fastapi_app(dependency: Any) -> FastAPI:
    app = FastAPI(dependencies=[Depends(dependency)])
    app.add_middleware(MemoryMiddleware)

    @app.get("/asynchronous")
    async def answer_from_the_event_loop() -> dict[str, Any]:
        return asdict(current_scope())

    @app.get("/synchronous")
    def answer_from_a_thread() -> dict[str, Any]:
        return asdict(current_scope())

    @app.get("/background")
    async def note_in_the_background(tasks: BackgroundTasks) -> None:
        tasks.add_task(lambda: app.state.seen.append(current_scope()))

    app.state.seen = []
    return app


dependencies = pytest.mark.parametrize(
    "dependency",
    [synchronous, asynchronous, synchronous_with_teardown, asynchronous_with_teardown, Guard()],
    ids=lambda dependency: getattr(dependency, "__name__", "object"),
)


@dependencies
@pytest.mark.parametrize("endpoint", ["/asynchronous", "/synchronous"])
def test_what_a_dependency_binds_the_endpoint_sees(connect: Connect, dependency: Any, endpoint: str) -> None:
    client = connect(fastapi_app(dependency))
    for user in ("alice", "bob"):
        assert told(client.get(endpoint, headers={"user": user}).json()) == Scope(user)


@dependencies
def test_what_a_dependency_binds_the_background_task_sees(connect: Connect, dependency: Any) -> None:
    app = fastapi_app(dependency)
    assert connect(app).get("/background", headers=ALICE).status_code == 200
    assert app.state.seen == [Scope("alice")]


def test_an_endpoint_can_be_an_agent(connect: Connect) -> None:
    app = FastAPI()
    app.add_middleware(MemoryMiddleware)

    @app.get("/agents/{name}")
    @remember(user=Arg("user"), session=Arg("thread"), agent=Arg("name"))
    async def agent(name: str, user: User, thread: str = "main") -> dict[str, Any]:
        """Tell who I am."""
        return {"arguments": [name, user, thread]} | asdict(current_scope())

    @app.get("/guide")
    @remember(agent="guide")
    def guide(user: Annotated[str, Depends(synchronous)]) -> dict[str, Any]:
        return {"arguments": [user]} | asdict(current_scope())

    client = connect(app)
    answer = client.get("/guide", headers=ALICE).json()
    assert answer.pop("arguments") == ["alice"]
    assert told(answer) == Scope("alice", agent_id="guide")
    answer = client.get("/agents/planner?thread=7", headers=ALICE).json()
    assert answer.pop("arguments") == ["planner", "alice", "7"]
    assert told(answer) == Scope("alice", "7", "planner")
    assert "Tell who I am." in client.get("/openapi.json").text
