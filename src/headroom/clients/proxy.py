"""The client as its user sees it: the client itself, but that its calls for answers go through the memory."""

import copy
from collections.abc import Callable, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Never, Self, TypeAlias

from wrapt import BaseObjectProxy, FunctionWrapper

from headroom.clients.call import Call
from headroom.clients.chat import ChatRequest
from headroom.clients.core import ClientCore
from headroom.clients.memory import AsyncClientMemory, ClientMemory
from headroom.clients.responses import ResponsesRequest
from headroom.errors import HeadroomError
from headroom.scope import Scope, current_scope, entered

if TYPE_CHECKING:
    from headroom.clients.answers import Request

Tree: TypeAlias = "Mapping[str, Tree | type[Request]]"

SURFACE: Final[Tree] = {
    "chat": {"completions": ChatRequest},
    "responses": ResponsesRequest,
    "beta": {"chat": {"completions": ChatRequest}, "responses": ResponsesRequest},
}
"""Where a client's calls for answers are, and what their requests look like. All else is the client's own.

So what the API itself keeps of conversations (`conversations.items`, `responses.input_items`,
`chat.completions.messages`) is listed as the model got and gave it: with memories, instruction and blocks.
"""

_ASKING: Final = frozenset({"create", "parse"})
_FETCHING: Final = frozenset({"retrieve", "update", "cancel"})
"""Calls that give once more an answer that was made before."""
_LISTING: Final = frozenset({"get_api_list", "_request_api_list"})
_VIEWS: Final = frozenset({"with_raw_response", "with_streaming_response"})
_NAMESPACES: Final = frozenset({"beta", "chat", "completions", "responses"})


class _Part(BaseObjectProxy):  # type: ignore[type-arg]  # wrapt 2.0 cannot subscript it
    """A part of a client, up to the client itself."""

    def __init__(self, wrapped: Any, core: ClientCore, surface: Any, *, asynchronous: bool) -> None:
        super().__init__(wrapped)
        self._self_core = core
        self._self_surface = surface
        self._self_asynchronous = asynchronous
        self._self_parts: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__wrapped__, name)
        if name not in _VIEWS:
            return value
        # Made anew around this proxy, the view calls the proxy's methods.
        view = type(value)(self)
        deferred = name == "with_streaming_response" and not self._self_asynchronous
        return _Deferring(view) if deferred else view

    def __deepcopy__(self, memo: Any) -> Never:
        raise TypeError(
            "a client holds open connections and cannot be copied deeply: use client.copy() or copy.copy()"
        )

    def __reduce_ex__(self, protocol: Any) -> Never:
        raise TypeError(
            "a client cannot be pickled: it holds open connections; make it, and wrap it, where it is used"
        )


class Namespace(_Part):
    """A part of a client on the way to its calls for answers."""

    def __getattr__(self, name: str) -> Any:
        if name not in self._self_surface:
            return super().__getattr__(name)
        value = getattr(self.__wrapped__, name)
        part = self._self_parts.get(name)
        if part is None or part.__wrapped__ is not value:
            surface = self._self_surface[name]
            kind = Namespace if isinstance(surface, Mapping) else Resource
            part = kind(value, self._self_core, surface, asynchronous=self._self_asynchronous)
            self._self_parts[name] = part
        return part


class Resource(_Part):
    """The part of a client that has the calls for answers of one API."""

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        if name in _ASKING:
            return FunctionWrapper(value, self._self_ask)
        if name in _FETCHING:
            return FunctionWrapper(value, self._self_fetch)
        if name == "list" and hasattr(self.__wrapped__, "_get_api_list"):
            return FunctionWrapper(value, self._self_list)
        if name == "stream" and hasattr(type(self.__wrapped__), "stream"):
            return FunctionWrapper(value, self._self_stream)
        return value

    def _self_ask(
        self, method: Callable[..., Any], _: Any, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Any:
        try:
            scope = self._self_core.scope()
        except HeadroomError as error:
            if self._self_asynchronous:
                return _raise(error)
            raise
        if scope.anonymous:
            self._self_core.set_last_exchange(None)
            return method(*args, **parameters)
        return self._self_call(scope, method, args, parameters)

    def _self_fetch(
        self, method: Callable[..., Any], _: Any, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Any:
        return self._self_call(None, method, args, parameters)

    def _self_call(
        self,
        scope: Scope | None,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        parameters: dict[str, Any],
    ) -> Any:
        http_client = getattr(getattr(self.__wrapped__, "_client", None), "_client", None)
        call = Call(self._self_core, self._self_surface(parameters), scope, http_client)
        return call.make_async(method, args) if self._self_asynchronous else call.make(method, args)

    def _self_stream(
        self, _: Callable[..., Any], __: Any, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Any:
        # The SDK's helper calls create on what it is given as self.
        manager = type(self.__wrapped__).stream(self, *args, **parameters)
        return manager if self._self_asynchronous else _Deferred(manager)

    def _self_list(
        self, _: Callable[..., Any], __: Any, args: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Any:
        # It requests page after page, the later ones by means of the client that made the first.
        lister = copy.copy(self.__wrapped__)
        lister._get_api_list = _Pages(lister._client, self._self_fetch).get_api_list  # noqa: SLF001 - there is no other way in
        return lister.list(*args, **parameters)


class _Pages(BaseObjectProxy):  # type: ignore[type-arg]  # wrapt 2.0 cannot subscript it
    """An SDK's client whose lists are made of pages that were fetched in this way."""

    def __init__(self, wrapped: Any, fetch: Callable[..., Any]) -> None:
        super().__init__(wrapped)
        self._self_fetch = fetch

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__wrapped__, name)
        if name == "request":
            return FunctionWrapper(value, self._self_fetch)
        return MethodType(value.__func__, self) if name in _LISTING else value


def _own(name: str) -> Any:
    """What the wrapped object has under this name, if anything: wrapt's proxies have all names."""
    return property(lambda proxy: getattr(proxy.__wrapped__, name))


class _Deferred(BaseObjectProxy):  # type: ignore[type-arg]  # wrapt 2.0 cannot subscript it
    """A context manager that makes a call when it is entered: in the scope in which it was asked for."""

    __aenter__ = _own("__aenter__")
    __aexit__ = _own("__aexit__")

    def __init__(self, wrapped: Any) -> None:
        super().__init__(wrapped)
        self._self_scope = current_scope()

    def __enter__(self) -> Any:
        with entered(self._self_scope):
            return self.__wrapped__.__enter__()


class _Deferring(BaseObjectProxy):  # type: ignore[type-arg]  # wrapt 2.0 cannot subscript it
    """A view of a client whose methods return such context managers."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__wrapped__, name)
        if name in _NAMESPACES:
            return _Deferring(value)
        if name in _ASKING:
            return FunctionWrapper(value, lambda method, _, args, kwargs: _Deferred(method(*args, **kwargs)))
        return value


class ClientProxy(Namespace):
    """A client that remembers."""

    __aenter__ = _own("__aenter__")
    __aexit__ = _own("__aexit__")

    def __init__(self, wrapped: Any, core: ClientCore, *, asynchronous: bool) -> None:
        super().__init__(wrapped, core, SURFACE, asynchronous=asynchronous)
        self._self_memory = AsyncClientMemory(core) if asynchronous else ClientMemory(core)

    @property
    def memory(self) -> ClientMemory | AsyncClientMemory:
        """The memory of whom the client remembers for."""
        return self._self_memory

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        if name in {"copy", "with_options"}:
            return FunctionWrapper(
                value, lambda method, _, args, kwargs: self._self_like(method(*args, **kwargs))
            )
        return value

    def _self_like(self, client: Any) -> Self:
        return type(self)(client, self._self_core, asynchronous=self._self_asynchronous)

    def __enter__(self) -> Self:
        self.__wrapped__.__enter__()
        return self

    def __copy__(self) -> Self:
        return self._self_like(copy.copy(self.__wrapped__))


class AsyncClientProxy(ClientProxy):
    """An asynchronous client that remembers."""

    __enter__ = _own("__enter__")
    __exit__ = _own("__exit__")

    async def __aenter__(self) -> Self:
        await self.__wrapped__.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        return await self.__wrapped__.__aexit__(*error)


async def _raise(error: Exception) -> Never:
    raise error
