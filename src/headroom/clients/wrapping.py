"""`with_memory`: from a client to one that remembers."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack, overload

from headroom.clients.core import ClientCore
from headroom.clients.proxy import AsyncClientProxy, ClientProxy
from headroom.current import as_source
from headroom.errors import ConfigurationError
from headroom.exchange import ExchangeOptions, ExchangeTrace
from headroom.memory.config import MemoryConfig
from headroom.memory.engine import Engine
from headroom.memory.hierarchical import HierarchicalMemory
from headroom.memory.model import MemoryCategory, ScopeLevel
from headroom.scope import Scope

if TYPE_CHECKING:
    from groq import AsyncGroq, Groq
    from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

    from headroom.clients.remembering import (
        RememberingAsyncAzureOpenAI,
        RememberingAsyncGroq,
        RememberingAsyncOpenAI,
        RememberingAzureOpenAI,
        RememberingGroq,
        RememberingOpenAI,
    )

_WANTED: Final = (("chat", "completions", "create"), ("responses", "create"))


class Options(TypedDict, total=False):
    """The options of `with_memory`, all of them by keyword."""

    session_id: str | None
    agent_id: str | None
    inject: bool
    extract: bool
    top_k: int | None
    min_score: float | None
    token_budget: int | None
    categories: Collection[MemoryCategory | str] | None
    default_level: ScopeLevel | str
    redact: Callable[[str], str | None] | None
    strict: bool | None
    on_exchange: Callable[[ExchangeTrace], object] | None
    memory: Engine | HierarchicalMemory | None
    config: MemoryConfig | None
    db_path: str | PathLike[str] | None


@overload
def with_memory(
    client: "AzureOpenAI", user_id: str | None = None, **options: Unpack[Options]
) -> "RememberingAzureOpenAI": ...
@overload
def with_memory(
    client: "OpenAI", user_id: str | None = None, **options: Unpack[Options]
) -> "RememberingOpenAI": ...
@overload
def with_memory(
    client: "AsyncAzureOpenAI", user_id: str | None = None, **options: Unpack[Options]
) -> "RememberingAsyncAzureOpenAI": ...
@overload
def with_memory(
    client: "AsyncOpenAI", user_id: str | None = None, **options: Unpack[Options]
) -> "RememberingAsyncOpenAI": ...
@overload
def with_memory(
    client: "Groq", user_id: str | None = None, **options: Unpack[Options]
) -> "RememberingGroq": ...
@overload
def with_memory(
    client: "AsyncGroq", user_id: str | None = None, **options: Unpack[Options]
) -> "RememberingAsyncGroq": ...
@overload
def with_memory(client: Any, user_id: str | None = None, **options: Unpack[Options]) -> Any: ...
def with_memory(
    client: Any,
    user_id: str | None = None,
    *,
    session_id: str | None = None,
    agent_id: str | None = None,
    inject: bool = True,
    extract: bool = True,
    top_k: int | None = None,
    min_score: float | None = None,
    token_budget: int | None = None,
    categories: Collection[MemoryCategory | str] | None = None,
    default_level: ScopeLevel | str = ScopeLevel.USER,
    redact: Callable[[str], str | None] | None = None,
    strict: bool | None = None,
    on_exchange: Callable[[ExchangeTrace], object] | None = None,
    memory: Engine | HierarchicalMemory | None = None,
    config: MemoryConfig | None = None,
    db_path: str | PathLike[str] | None = None,
) -> Any:
    """Wrap a client so that it remembers: `OpenAI()` becomes `with_memory(OpenAI(), user_id="alice")`.

    The result is used as the client itself, and has a `memory` besides (a `ClientMemory`; an asynchronous
    client has an `AsyncClientMemory`, whose methods are awaited). The given client is left as it is. Wrapping
    a wrapped client wraps the one inside anew.

    Args:
        client: An `OpenAI`, `AzureOpenAI` or `Groq`, each also as `Async…`, or anything that has
            `chat.completions.create` or `responses.create`.
        user_id: Whom the client remembers for; None for whomever the code is running for (see `headroom.bind`
            and the middlewares). Where nobody is logged in, calls pass through untouched.
        session_id: The session of all calls; None takes the current scope's.
        agent_id: The agent of all calls; None takes the current scope's.
        inject: Whether what is remembered is put before the user's message.
        extract: Whether the model is asked to note what is worth remembering.
        top_k: At most how many memories are shown; None takes the config's.
        min_score: From which score on, 0 to 1; None takes the config's `injection_min_score`.
        token_budget: How many tokens they may take; None takes the config's `injection_token_budget`.
        categories: Only memories of these categories are shown and stored; None means all.
        default_level: How far that reaches which the model does not mark as only about the session: "user",
            "session", "agent" or "turn".
        redact: Called with each content that is about to be stored; returns what may be, None for nothing.
        strict: Whether a failure of the memory is raised. Otherwise it is logged, counted and dropped, and
            the model's answer delivered. None takes the config's.
        on_exchange: Called once with the trace of each exchange when that is over; one that the model did not
            answer is not `finished` then. For an asynchronous client it may be a coroutine function.
        memory: The memory to use; it stays open. None uses the one of the application (see the middlewares
            and `remember`), or the one that the process shares for its database.
        config: How to set up the latter.
        db_path: Where its database is, in short.

    Raises:
        TypeError: the client has none of the calls that could go through a memory.
        InvalidInputError: an identifier or option that cannot be.

    Calls of the client raise MissingScopeError where there is no user, and ScopeConflictError where there
    are two.
    """
    if isinstance(client, ClientProxy):
        client = client.__wrapped__
    asynchronous = _is_asynchronous(client)
    if memory is not None and (config is not None or db_path is not None):
        raise ConfigurationError("pass either a memory, or the config or db_path to open one")
    if not isinstance(memory, Engine | HierarchicalMemory | None):
        raise ConfigurationError(
            f"memory must be an Engine or a HierarchicalMemory, not {type(memory).__name__}"
        )
    if not isinstance(config, MemoryConfig | None):
        raise ConfigurationError(f"config must be a MemoryConfig, not {type(config).__name__}")
    if not isinstance(db_path, str | PathLike | None):
        raise ConfigurationError(f"db_path must be a path, not {type(db_path).__name__}")
    if not asynchronous and inspect.iscoroutinefunction(on_exchange):
        raise ConfigurationError(
            "on_exchange must be a plain function here: a synchronous client has nobody to await a coroutine"
        )
    if db_path is not None:
        config = MemoryConfig(db_path=db_path) if config is None else replace(config, db_path=db_path)
    options = ExchangeOptions(
        inject=inject,
        extract=extract,
        top_k=top_k,
        min_score=min_score,
        token_budget=token_budget,
        categories=categories,
        default_level=default_level,
        redact=redact,
        strict=strict,
        on_exchange=on_exchange,
    )
    core = ClientCore(Scope(user_id, session_id, agent_id), options, config or as_source(memory))
    proxy = AsyncClientProxy if asynchronous else ClientProxy
    return proxy(client, core, asynchronous=asynchronous)


def _is_asynchronous(client: Any) -> bool:
    for path in _WANTED:
        method = client
        for name in path:
            method = getattr(method, name, None)
        if callable(method):
            managed = hasattr(client, "__aenter__") and not hasattr(client, "__enter__")
            return managed or inspect.iscoroutinefunction(inspect.unwrap(method))
    looked_for = " or ".join(".".join(path) for path in _WANTED)
    raise TypeError(
        f"with_memory needs a client that has {looked_for}, and {type(client).__name__} has neither"
    )
