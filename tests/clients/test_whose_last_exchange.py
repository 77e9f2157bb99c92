"""The last exchange is shown to the user whose call it was, and to nobody who comes after in that thread."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asking import block, user

from headroom import ANONYMOUS, Arg, MemoryConfig, bind, carry, remember
from headroom.current import using
from headroom.memory import Engine
from headroom.scope import entered
from headroom.testing import ScriptedServer

Connect = Callable[..., Any]


@pytest.fixture
def server(serve: Callable[..., ScriptedServer]) -> ScriptedServer:
    return serve(f"Yes.\n{block('Likes tea')}")


@pytest.fixture
def client(connect: Connect, server: ScriptedServer) -> Any:
    """A client for everybody."""
    return connect(server, user_id=None)


def ask(client: Any) -> Any:
    return client.chat.completions.create(model="any", messages=user("Hello there"))


def shown_to(client: Any) -> str | None:
    exchange = client.memory.last_exchange
    return None if exchange is None else exchange.scope.user_id


def test_one_user_after_the_other_in_a_thread(client: Any) -> None:
    with bind(user_id="alice"):
        ask(client)
        assert shown_to(client) == "alice"
    with bind(user_id="bob"):
        assert shown_to(client) is None
        ask(client)
        assert shown_to(client) == "bob"
    with bind(user_id="alice"):
        assert shown_to(client) is None
    assert shown_to(client) is None


def test_one_user_after_the_other_in_a_thread_of_a_pool(client: Any) -> None:
    def work(name: str, *, asks: bool) -> str | None:
        with bind(user_id=name):
            if asks:
                ask(client)
            return shown_to(client)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work, "alice", asks=True).result() == "alice"
        assert pool.submit(work, "bob", asks=False).result() is None
        assert pool.submit(shown_to, client).result() is None


def test_what_is_carried_into_a_thread_stays_its_users(client: Any) -> None:
    def as_bob() -> str | None:
        with bind(user_id="bob"):
            return shown_to(client)

    with ThreadPoolExecutor(1) as pool, bind(user_id="alice"):
        ask(client)
        assert pool.submit(carry(shown_to), client).result() == "alice"
        assert pool.submit(carry(as_bob)).result() is None
        assert pool.submit(shown_to, client).result() is None


def test_plain_calls_of_bind(client: Any) -> None:
    def work() -> None:
        bind(user_id="alice")
        ask(client)
        assert shown_to(client) == "alice"
        bind(user_id="bob")
        assert shown_to(client) is None

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


@pytest.mark.parametrize("user_id", [None, "alice"])
def test_after_an_anonymous_call_there_is_none(
    connect: Connect, server: ScriptedServer, user_id: str | None
) -> None:
    client = connect(server, user_id=user_id)
    with bind(user_id="alice"):
        ask(client)
        with entered(ANONYMOUS):
            assert shown_to(client) is None
        assert shown_to(client) == "alice"
        with entered(ANONYMOUS):
            ask(client)
            assert shown_to(client) is None
        assert shown_to(client) is None


@pytest.mark.anyio
async def test_after_an_asynchronous_anonymous_call_there_is_none(
    connect_async: Connect, server: ScriptedServer
) -> None:
    client = connect_async(server)
    await ask(client)
    with entered(ANONYMOUS):
        await ask(client)
    assert shown_to(client) is None


@pytest.mark.anyio
async def test_a_task_that_another_users_task_started(connect_async: Connect, server: ScriptedServer) -> None:
    client = connect_async(server, user_id=None)

    async def as_bob() -> str | None:
        with bind(user_id="bob"):
            return shown_to(client)

    with bind(user_id="alice"):
        await ask(client)
        assert await asyncio.create_task(as_bob()) is None
        assert shown_to(client) == "alice"


def test_a_client_of_one_user_in_the_scope_of_another(connect: Connect, server: ScriptedServer) -> None:
    client = connect(server)
    ask(client)
    with bind(user_id="bob"):
        assert shown_to(client) is None
    with bind(user_id="alice"):
        assert shown_to(client) == "alice"
    assert shown_to(client) == "alice"


def test_a_call_in_a_narrower_scope_is_the_same_users(client: Any) -> None:
    @remember(agent="researcher", turn=True)
    def research() -> None:
        ask(client)

    with bind(user_id="alice", session_id="s1"):
        research()
        assert client.memory.last_exchange.scope.agent_id == "researcher"


def test_a_function_for_another_user_keeps_its_exchange(client: Any) -> None:
    @remember(user=Arg("name"))
    def answer(name: str) -> None:
        ask(client)
        assert shown_to(client) == name

    with bind(user_id="alice"):
        answer("bob")
        assert shown_to(client) is None
    answer("bob")
    assert shown_to(client) is None


def test_generators_for_several_users_that_take_turns(client: Any) -> None:
    @remember(user=Arg("name"))
    def conversation(name: str) -> Iterator[str | None]:
        while True:
            assert shown_to(client) in {None, name}
            yield shown_to(client)
            ask(client)
            yield shown_to(client)

    alice, bob = conversation("alice"), conversation("bob")
    assert [next(alice), next(bob), next(alice), next(bob)] == [None, None, "alice", "bob"]
    assert shown_to(client) is None
    assert next(alice) is None


def test_users_of_two_memories_who_have_the_same_id(
    connect: Connect, server: ScriptedServer, engine: Engine
) -> None:
    client = connect(server, user_id=None, memory=None)
    other = MemoryConfig(db_path=f"{engine.config.db_path}.other")
    with bind(user_id="1"):
        with using(engine.config):
            ask(client)
            assert shown_to(client) == "1"
        with using(other):
            assert shown_to(client) is None
