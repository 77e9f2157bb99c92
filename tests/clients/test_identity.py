"""A wrapped client is the client, for all that its user can tell; its copies remember too."""

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asking import CLIENTS, block, got, user
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from openai.resources.chat.completions import Completions

from headroom import AsyncClientMemory, ClientMemory, with_memory
from headroom.current import as_source, close_shared_memory, using
from headroom.errors import ConfigurationError, InvalidInputError
from headroom.memory import Engine, HierarchicalMemory, MemoryConfig
from headroom.testing import ScriptedServer

HELLO = {"model": "any", "messages": user("Hello there")}
TEXT = f"Yes.\n{block('Likes tea')}"
Connect = Callable[..., Any]
Serve = Callable[..., ScriptedServer]


@pytest.fixture
def plain() -> Iterator[OpenAI]:
    with OpenAI(api_key="any", base_url="http://127.0.0.1:9/v1") as client:
        yield client


def test_it_is_an_instance_of_its_class(plain: OpenAI) -> None:
    client = with_memory(plain, "alice")
    assert isinstance(client, OpenAI)
    assert not isinstance(client, AzureOpenAI | AsyncOpenAI)
    assert isinstance(client.chat.completions, Completions)
    assert client == plain
    assert isinstance(client.memory, ClientMemory)


def test_all_else_is_the_clients_own(plain: OpenAI) -> None:
    client = with_memory(plain, "alice")
    assert client.models is plain.models
    assert client.embeddings is plain.embeddings
    assert client.api_key == plain.api_key
    assert client.base_url == plain.base_url
    assert client.chat is client.chat
    assert client.chat.completions.messages is plain.chat.completions.messages
    assert client.responses.input_items is plain.responses.input_items
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = client.nonsense
    client.timeout = 7.5
    assert plain.timeout == 7.5


def test_its_methods_look_like_the_clients(plain: OpenAI) -> None:
    client = with_memory(plain, "alice")
    for ours, theirs in (
        (client.chat.completions.create, plain.chat.completions.create),
        (client.responses.create, plain.responses.create),
        (client.chat.completions.stream, plain.chat.completions.stream),
    ):
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert ours.__doc__ == theirs.__doc__
        assert ours.__name__ == theirs.__name__


def test_the_given_client_is_left_as_it_is(plain: OpenAI) -> None:
    before = dict(vars(plain))
    with_memory(plain, "alice")
    assert vars(plain).keys() - before.keys() <= {"chat", "responses"}
    assert type(plain) is OpenAI
    assert not hasattr(plain, "memory")


@pytest.mark.parametrize("way", ["with_options", "copy", "copy.copy"])
def test_copies_remember_for_the_same_user(connect: Connect, serve: Serve, engine: Engine, way: str) -> None:
    server = serve(TEXT)
    client = connect(server)
    copies = {
        "with_options": lambda: client.with_options(timeout=9.0),
        "copy": lambda: client.copy(timeout=9.0),
        "copy.copy": lambda: copy.copy(client),
    }
    duplicate = copies[way]()
    assert isinstance(duplicate, OpenAI)
    assert duplicate is not client
    assert (duplicate.timeout == 9.0) == (way != "copy.copy")
    assert duplicate.chat.completions.create(**HELLO).choices[0].message.content == "Yes."
    assert engine.count("alice") == 1
    assert client.memory.last_exchange is duplicate.memory.last_exchange


def test_what_cannot_be_copied_says_what_can(plain: OpenAI) -> None:
    client = with_memory(plain, "alice")
    for part in (client, client.chat, client.chat.completions, client.responses):
        with pytest.raises(TypeError, match=r"client\.copy\(\)"):
            copy.deepcopy(part)
        with pytest.raises(TypeError, match="wrap it, where it is used"):
            pickle.dumps(part)


async def _coroutine(_: object) -> None: ...


@pytest.mark.parametrize(
    "option",
    [
        {"config": {"top_k": 1}},
        {"config": "memory.db"},
        {"db_path": 5},
        {"db_path": b"memory.db"},
        {"redact": "secret"},
        {"on_exchange": "print"},
        {"on_exchange": _coroutine},
        *({name: value} for name in ("top_k", "token_budget") for value in ("3", 2.5, True, 0)),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_named_at_once(plain: OpenAI, option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"^{next(iter(option))} must be "):
        with_memory(plain, "alice", **option)


def test_leaving_a_client_closes_the_one_inside(plain: OpenAI) -> None:
    with with_memory(plain, "alice") as client:
        assert type(client).__name__ == "ClientProxy"
    assert plain.is_closed()
    assert client.is_closed()


@pytest.mark.anyio
async def test_leaving_an_asynchronous_client_closes_the_one_inside() -> None:
    plain = AsyncOpenAI(api_key="any")
    async with with_memory(plain, "alice") as client:
        assert isinstance(client.memory, AsyncClientMemory)
        assert isinstance(client, AsyncOpenAI)
    assert plain.is_closed()


@pytest.mark.anyio
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_it_is_the_context_manager_that_its_client_is(
    serve: Serve,
    asynchronous: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    plain = CLIENTS["openai", asynchronous](serve("Yes."))
    client = with_memory(plain, "alice")
    assert hasattr(client, "__aenter__") == hasattr(client, "__aexit__") == asynchronous
    assert hasattr(client, "__enter__") == hasattr(client, "__exit__") == (not asynchronous)
    await got(plain.close())


def test_wrapping_a_wrapped_client_wraps_the_one_inside(plain: OpenAI) -> None:
    twice = with_memory(with_memory(plain, "alice"), "bob")
    assert twice.__wrapped__ is plain


class NotAClient:
    chat = None


@pytest.mark.parametrize("client", [object(), None, "client", NotAClient()])
def test_a_client_with_nothing_to_wrap_is_an_error_that_says_what_was_looked_for(client: Any) -> None:
    with pytest.raises(TypeError, match=r"chat\.completions\.create or responses\.create"):
        with_memory(client, "alice")


@pytest.mark.parametrize(
    "options",
    [
        {"user_id": " "},
        {"session_id": "a\nb"},
        {"top_k": 0},
        {"token_budget": 0},
        {"min_score": 2},
        {"categories": "fact"},
        {"categories": ["hobby"]},
        {"default_level": "galaxy"},
        {"memory": "memory.db"},
    ],
)
def test_options_that_cannot_be_are_errors_at_once(plain: OpenAI, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        with_memory(plain, **{"user_id": "alice", **options})


class TestWhereTheMemoryIs:
    """A given one stays open; others are opened when they are first needed, and shared by the process."""

    def test_a_given_memory_and_a_place_for_one_exclude_each_other(
        self, plain: OpenAI, engine: Engine
    ) -> None:
        for place in ({"config": MemoryConfig()}, {"db_path": "memory.db"}):
            with pytest.raises(ConfigurationError, match="either"):
                with_memory(plain, "alice", memory=engine, **place)

    def test_wrapping_opens_nothing(self, plain: OpenAI, tmp_path: Any) -> None:
        with_memory(plain, "alice", db_path=tmp_path / "memory.db")
        with_memory(plain, "alice", config=MemoryConfig(db_path="/nowhere/at/all.db"))
        assert list(tmp_path.iterdir()) == []

    def test_a_hierarchical_memory_is_taken_too(self, connect: Connect, serve: Serve, engine: Engine) -> None:
        client = connect(serve(TEXT), memory=HierarchicalMemory(engine))
        client.chat.completions.create(**HELLO)
        assert engine.count("alice") == 1

    def test_clients_of_one_database_share_one_engine(self, serve: Serve, tmp_path: Any) -> None:
        server = serve(TEXT)
        config = MemoryConfig(db_path=tmp_path / "memory.db")
        with CLIENTS["openai", False](server) as inner:
            one = with_memory(inner, "alice", db_path=tmp_path / "memory.db")
            other = with_memory(inner, "alice", config=config)
            assert one._self_core.memory().open() is other._self_core.memory().open()
            one.chat.completions.create(**HELLO)
            assert [memory.content for memory in other.memory.get_all()] == ["Likes tea"]
        close_shared_memory(config)

    def test_the_applications_memory_is_the_default(self, serve: Serve, engine: Engine) -> None:
        with CLIENTS["openai", False](serve(TEXT)) as inner:
            client = with_memory(inner, "alice", strict=True)
            with using(as_source(engine)):
                client.chat.completions.create(**HELLO)
                assert len(client.memory.get_all()) == 1
        assert engine.count("alice") == 1

    def test_a_given_engine_is_not_closed(self, serve: Serve, engine: Engine) -> None:
        with with_memory(CLIENTS["openai", False](serve(TEXT)), "alice", memory=engine) as client:
            client.chat.completions.create(**HELLO)
        assert engine.count("alice") == 1
