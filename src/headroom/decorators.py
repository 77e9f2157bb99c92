"""`@remember`: a function, method or generator that runs in a memory scope of its own; `carry`: in this one.

::

    @remember(agent="researcher")
    async def research(question: str) -> str: ...

    @remember(user=Arg("user_id"), session=Arg("thread.id"), agent="planner", turn=True)
    def plan(user_id: str, thread: Thread) -> Plan: ...
"""

import functools
import inspect
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import (
    _AsyncGeneratorContextManager,
    _GeneratorContextManager,
    contextmanager,
    nullcontext,
)
from contextvars import copy_context
from copy import deepcopy
from pkgutil import resolve_name
from typing import Any, ParamSpec, Self, SupportsIndex, TypeAlias, TypeVar, overload
from uuid import uuid4

import wrapt

from headroom.current import MemorySource, as_source, in_synchronous_function, source_in_use, using
from headroom.errors import ConfigurationError, InvalidInputError, MissingScopeError
from headroom.memory.config import MemoryConfig
from headroom.memory.hierarchical import HierarchicalMemory
from headroom.scope import Scope, check_identifier, current_scope, entered
from headroom.turns import kept_turn

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
T = TypeVar("T")


class Arg:
    """An identifier that is read from the arguments of the decorated function.

    `Arg("user_id")` is the argument of that name; `Arg("thread.owner.id")` goes on from there, through
    attributes and the keys of mappings. `Arg("self.user_id")` works in methods.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._parameter, *self._steps = path.split(".")

    def reader(self, function: Any) -> Callable[..., Any]:
        """A function that takes what `function` takes and returns the identifier in it.

        Raises:
            ConfigurationError: `function` has no such parameter.
        """
        function = getattr(function, "__func__", function)  # of a classmethod or staticmethod
        signature = inspect.signature(function)
        rest = [name for name, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD]
        if self._parameter not in signature.parameters and not rest:
            raise ConfigurationError(
                f"{_name(function)} has no parameter {self._parameter!r} for Arg({self._path!r}); "
                f"it has: {', '.join(signature.parameters) or 'none'}"
            )

        def read(*args: Any, **kwargs: Any) -> Any:
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            arguments = call.arguments | (call.arguments[rest[0]] if rest else {})
            if self._parameter not in arguments:
                raise InvalidInputError(
                    f"{_name(function)} was called without {self._parameter}=, "
                    f"which Arg({self._path!r}) reads"
                )
            value = arguments[self._parameter]
            for step in self._steps:
                if value is None:
                    return None
                value = self._follow(value, step)
            return value

        return read

    def _follow(self, value: Any, step: str) -> Any:
        try:
            return value[step] if isinstance(value, Mapping) else getattr(value, step)
        except (AttributeError, KeyError):
            raise InvalidInputError(
                f"Arg({self._path!r}): a {type(value).__name__} has no {step!r}"
            ) from None


Identifier: TypeAlias = str | Arg | Callable[..., str | None]
"""A fixed identifier, one read from the arguments of the call, or a function of these that returns it."""


@overload
def remember(function: F, /) -> F: ...
@overload
def remember(
    *,
    user: Identifier | None = None,
    session: Identifier | None = None,
    agent: Identifier | None = None,
    turn: bool = False,
    memory: MemorySource | None = None,
) -> Callable[[F], F]: ...
def remember(
    function: Any = None,
    /,
    *,
    user: Identifier | None = None,
    session: Identifier | None = None,
    agent: Identifier | None = None,
    turn: bool = False,
    memory: MemorySource | None = None,
) -> Any:
    """Run a function in a memory scope of its own: the caller's, narrowed by what is given here.

    It decorates functions and methods of every kind, and keeps their signature. A coroutine or generator
    keeps the scope of the call, whichever task or thread runs it, and never shows it to who consumes it.

    Args:
        function: What is decorated, where nothing else is given: then it keeps the scope of its caller.
        user: Whose memory the function uses. Another user than the current one inherits nothing of its scope.
        session: The conversation; None at a call leaves the current one.
        agent: The agent that the function is; None at a call leaves the current one.
        turn: Whether each call is a turn of its own: what is stored for the turn goes when it ends.
        memory: What `current_memory()`, and clients without a memory of their own, use in the function.

    Raises:
        ConfigurationError: on decoration, an `Arg` names no parameter, or `memory` is none.
        InvalidScopeError: on decoration or at a call, an identifier cannot be one.
        InvalidInputError: at a call, the arguments do not contain what an `Arg` names.
        MissingScopeError: at a call, `user` gave None.
    """
    identifiers = {"user_id": user, "session_id": session, "agent_id": agent}
    source = as_source(memory)

    def decorate(function: Any) -> Any:
        readers = {
            part: _reader(identifier, part, function)
            for part, identifier in identifiers.items()
            if identifier is not None
        }

        def run(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            given = args if instance is None else (instance, *args)
            parts = {part: read(*given, **kwargs) for part, read in readers.items()}
            if "user_id" in parts and parts["user_id"] is None:
                raise MissingScopeError(f"{_name(wrapped)} was called for no user: its `user` gave None")
            result = _Run(current_scope().narrow(**parts), source, is_turn=turn).result_of(
                wrapped, args, kwargs
            )
            if isinstance(result, _GeneratorContextManager | _AsyncGeneratorContextManager):
                # Used as a decorator, it is made anew for each call.
                result.func = _Remembering(result.func, run)
            return result

        return _Remembering(function, run)

    if function is None:
        return decorate
    if isinstance(function, str):
        raise ConfigurationError(f"say what {function!r} is: @remember(agent={function!r}), for example")
    return decorate(function)


def _name(function: Any) -> str:
    name: str = getattr(function, "__qualname__", type(function).__name__)
    return name


def _reader(identifier: Identifier, part: str, function: Any) -> Callable[..., Any]:
    if isinstance(identifier, Arg):
        return identifier.reader(function)
    if callable(identifier):
        return identifier
    fixed = check_identifier(identifier, part)
    return lambda *_, **__: fixed


class _RememberingMethod(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]  # wrapt 2.0 cannot subscript it
    def __reduce_ex__(self, _: SupportsIndex) -> tuple[Any, ...]:
        owner = getattr(self.__wrapped__, "__self__", None)
        if owner is None:
            return resolve_name, (f"{self.__module__}:{self.__qualname__}",)
        return getattr, (owner, self.__name__)  # as methods are

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        owner = getattr(self.__wrapped__, "__self__", None)
        return self if owner is None else getattr(deepcopy(owner, memo), self.__name__)


class _Remembering(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # the same
    __bound_function_wrapper__ = _RememberingMethod

    def __reduce_ex__(self, _: SupportsIndex) -> str:
        return self.__qualname__  # pickled by its name, as functions are

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self


class _Run:
    """One call of a decorated function, until what it returned has run to its end."""

    def __init__(
        self, scope: Scope, source: HierarchicalMemory | MemoryConfig | None, *, is_turn: bool = False
    ) -> None:
        turn_id = uuid4().hex if is_turn else None
        self._scope = entered(scope.narrow(turn_id=turn_id))
        self._memory = using(source)
        self._turn = kept_turn(turn_id) if turn_id else nullcontext()

    def result_of(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        with self._turn, self._in_scope(), in_synchronous_function():
            result = function(*args, **kwargs)
        return self.rest_of(result)

    def rest_of(self, result: Any) -> Any:
        """What a function returned; if it has still to run, it does so in the scope."""
        if inspect.iscoroutine(result):
            outer: Any = self._awaited(result)
            outer.__name__, outer.__qualname__ = result.__name__, result.__qualname__
            weakref.finalize(outer, result.close)  # a task that is cancelled before it starts never awaits it
            return outer
        if inspect.isasyncgen(result):
            return self._asynchronous_steps(result)
        if inspect.isgenerator(result):
            return self._steps(result)
        if isinstance(result, _GeneratorContextManager | _AsyncGeneratorContextManager):
            result.gen = self.rest_of(result.gen)
        return result

    @contextmanager
    def _in_scope(self) -> Iterator[None]:
        with self._scope, self._memory:
            yield

    async def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        async with self._turn:
            with self._in_scope():
                return await coroutine

    # The scope is entered for each step alone: between two of them, the code that runs is the consumer's.

    def _steps(self, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = generator.send
        value: Any = None
        with self._turn:
            while True:
                try:
                    with self._in_scope(), in_synchronous_function():
                        item = step(value)
                except StopIteration as end:
                    return end.value
                try:
                    value = yield item
                    step = generator.send
                except GeneratorExit:
                    with self._in_scope(), in_synchronous_function():
                        generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - whatever is thrown in goes to the generator
                    step, value = generator.throw, error

    async def _asynchronous_steps(self, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        step: Callable[[Any], Any] = generator.asend
        value: Any = None
        async with self._turn:
            while True:
                try:
                    with self._in_scope():
                        item = await step(value)
                except StopAsyncIteration:
                    return
                try:
                    value = yield item
                    step = generator.asend
                except GeneratorExit:
                    with self._in_scope():
                        await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - whatever is thrown in goes to the generator
                    step, value = generator.athrow, error


def carry(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap `function` so that it runs in the scope that is current now, in whichever thread it is called.

    `asyncio.to_thread` and `anyio.to_thread` carry the scope by themselves; `run_in_executor`,
    `ThreadPoolExecutor.submit` and `threading.Thread` do not::

        executor.submit(carry(work), item)

    Like those two, it carries all other context variables as well. A coroutine or generator that it returns
    keeps the scope and the memory, whoever runs it.
    """
    scope, source, context = current_scope(), source_in_use(), copy_context()

    def in_scope(*args: P.args, **kwargs: P.kwargs) -> T:
        with entered(scope):  # what is bound after this call is for others
            return function(*args, **kwargs)

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> T:
        # A context cannot be in two threads at once.
        result = context.copy().run(in_scope, *args, **kwargs)
        rest: T = _Run(scope, source).rest_of(result)
        return rest

    return carried
