"""`@remember` decorates functions of every kind, and they stay what they were."""

import asyncio
import copy
import gc
import inspect
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, get_type_hints

import anyio
import pytest

from headroom.decorators import Arg, remember
from headroom.scope import ANONYMOUS, Scope, bind, current_scope, entered

pytestmark = pytest.mark.anyio

PLANNER = Scope("alice", agent_id="planner")


@pytest.fixture(autouse=True)
def _alice() -> Iterator[None]:
    with entered(Scope("alice")):
        yield


@remember(agent="planner")
def function(tag: str) -> tuple[str, Scope]:
    """Tell the scope."""
    return tag, current_scope()


@remember(agent="planner")
async def coroutine_function(tag: str) -> tuple[str, Scope]:
    """Tell the scope."""
    await anyio.lowlevel.checkpoint()
    return tag, current_scope()


@remember(agent="planner")
def generator(tag: str) -> Iterator[tuple[str, Scope]]:
    """Tell the scope."""
    yield tag, current_scope()
    yield tag, current_scope()


@remember(agent="planner")
async def asynchronous_generator(tag: str) -> AsyncIterator[tuple[str, Scope]]:
    """Tell the scope."""
    yield tag, current_scope()
    await anyio.lowlevel.checkpoint()
    yield tag, current_scope()


class Agent:
    """Methods of every kind, decorated above and below the other decorator."""

    name = "planner"

    @remember(agent="planner")
    def method(self, tag: str) -> tuple[str, Scope]:
        assert self.name
        return tag, current_scope()

    @remember(agent=Arg("self.name"))
    async def coroutine_method(self, tag: str) -> tuple[str, Scope]:
        return tag, current_scope()

    @remember(agent=Arg("cls.name"))
    @classmethod
    def class_method(cls, tag: str) -> tuple[str, Scope]:
        assert cls.name
        return tag, current_scope()

    @classmethod
    @remember(agent=Arg("cls.name"))
    def class_method_below(cls, tag: str) -> tuple[str, Scope]:
        assert cls.name
        return tag, current_scope()

    @remember(agent="planner")
    @staticmethod
    def static_method(tag: str) -> tuple[str, Scope]:
        return tag, current_scope()

    @staticmethod
    @remember(agent="planner")
    def static_method_below(tag: str) -> tuple[str, Scope]:
        return tag, current_scope()

    @property
    @remember(agent=Arg("self.name"))
    def property(self) -> Scope:
        return current_scope()

    @remember(agent="planner")
    def __call__(self, tag: str) -> tuple[str, Scope]:
        return tag, current_scope()


@pytest.mark.parametrize(
    "call",
    [
        function,
        Agent().method,
        lambda tag: Agent.method(Agent(), tag),
        Agent().class_method,
        Agent.class_method,
        Agent().class_method_below,
        Agent.class_method_below,
        Agent().static_method,
        Agent.static_method,
        Agent().static_method_below,
        Agent.static_method_below,
        Agent(),
        remember(agent="planner")(lambda tag: (tag, current_scope())),
    ],
)
def test_a_synchronous_function_runs_in_the_scope_and_leaves_none_behind(call: Callable[..., Any]) -> None:
    assert call("x") == call(tag="x") == ("x", PLANNER)
    assert current_scope() == Scope("alice")


def test_a_property_runs_in_the_scope() -> None:
    assert Agent().property == PLANNER


@pytest.mark.parametrize("call", [coroutine_function, Agent().coroutine_method])
async def test_a_coroutine_runs_in_the_scope_and_leaves_none_behind(
    call: Callable[..., Awaitable[Any]],
) -> None:
    assert await call("x") == ("x", PLANNER)
    assert current_scope() == Scope("alice")


def test_a_generator_has_the_scope_in_every_step_and_its_consumer_never() -> None:
    for item in generator("x"):
        assert item == ("x", PLANNER)
        assert current_scope() == Scope("alice")


async def test_an_asynchronous_generator_has_the_scope_in_every_step_and_its_consumer_never() -> None:
    async for item in asynchronous_generator("x"):
        assert item == ("x", PLANNER)
        assert current_scope() == Scope("alice")


async def test_the_scope_is_that_of_the_call_wherever_the_rest_runs() -> None:
    with entered(Scope("bob")):
        started = generator("x"), asynchronous_generator("x"), coroutine_function("x")
    bob = ("x", Scope("bob", agent_id="planner"))
    with entered(ANONYMOUS):
        assert list(started[0]) == [bob, bob]
        assert [item async for item in started[1]] == [bob, bob]
        assert await started[2] == bob


def test_a_decorated_function_looks_like_what_it_was() -> None:
    assert inspect.iscoroutinefunction(coroutine_function)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(asynchronous_generator)
    assert inspect.isfunction(function)
    assert not inspect.iscoroutinefunction(function)
    assert inspect.isgenerator(generator("x"))
    assert inspect.isasyncgen(asynchronous_generator("x"))
    assert function.__name__ == "function"
    assert function.__qualname__ == "function"
    assert function.__module__ == __name__
    assert function.__doc__ == "Tell the scope."
    assert str(inspect.signature(function)) == "(tag: str) -> tuple[str, headroom.scope.Scope]"
    assert get_type_hints(function) == {"tag": str, "return": tuple[str, Scope]}
    assert str(inspect.signature(Agent().method)) == "(tag: str) -> tuple[str, headroom.scope.Scope]"


@remember(agent="planner")
def conversation() -> Iterator[Any]:
    """A generator with everything that a generator can do."""
    heard = []
    try:
        while len(heard) < 3:
            try:
                heard.append((yield current_scope().agent_id))
            except LookupError as error:
                heard.append(error.args[0])
                bind(session_id="bound on the way")
    finally:
        ends.append(current_scope())
    return heard


ends: list[Scope] = []


@pytest.fixture(autouse=True)
def _no_ends() -> None:
    ends.clear()


def test_a_generator_can_be_sent_to_thrown_into_and_returns() -> None:
    steps = conversation()
    assert next(steps) == "planner"
    assert steps.send("sent") == "planner"
    assert steps.throw(LookupError("thrown")) == "planner"
    with pytest.raises(StopIteration) as end:
        steps.send("sent again")
    assert end.value.value == ["sent", "thrown", "sent again"]
    assert ends == [Scope("alice", "bound on the way", "planner")]


def test_a_generator_that_is_closed_ends_in_its_scope() -> None:
    steps = conversation()
    next(steps)
    steps.close()
    assert ends == [PLANNER]


def test_an_error_passes_out_of_a_generator() -> None:
    steps = conversation()
    next(steps)
    with pytest.raises(ZeroDivisionError):
        steps.throw(ZeroDivisionError)
    assert ends == [PLANNER]


@remember(agent="planner")
async def asynchronous_conversation() -> AsyncIterator[Any]:
    heard = []
    try:
        while len(heard) < 2:
            try:
                heard.append((yield current_scope().agent_id))
            except LookupError as error:
                heard.append(error.args[0])
                await anyio.lowlevel.checkpoint()
        yield heard
    finally:
        ends.append(current_scope())


async def test_an_asynchronous_generator_can_be_sent_to_thrown_into_and_closed() -> None:
    steps: Any = asynchronous_conversation()
    assert await anext(steps) == "planner"
    assert await steps.asend("sent") == "planner"
    assert await steps.athrow(LookupError("thrown")) == ["sent", "thrown"]
    await steps.aclose()
    assert ends == [PLANNER]
    with pytest.raises(StopAsyncIteration):
        await anext(steps)


async def test_an_error_passes_out_of_an_asynchronous_generator() -> None:
    steps: Any = asynchronous_conversation()
    await anext(steps)
    with pytest.raises(ZeroDivisionError):
        await steps.athrow(ZeroDivisionError)
    assert ends == [PLANNER]


async def test_a_cancelled_coroutine_leaves_no_scope_behind() -> None:
    @remember(agent="planner")
    async def forever() -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(0.01) as patience:
        await forever()
    assert patience.cancelled_caught
    assert current_scope() == Scope("alice")


def test_what_was_never_started_or_awaited_harms_nobody() -> None:
    generator("x").close()
    started = generator("x")
    next(started)
    del started
    coroutine: Any = coroutine_function("x")
    assert coroutine.__qualname__ == "coroutine_function"
    coroutine.close()
    assert current_scope() == Scope("alice")


def test_a_coroutine_that_is_forgotten_is_warned_of_once_by_its_name() -> None:
    def forget() -> None:
        coroutine_function("x")
        gc.collect()

    with pytest.warns(RuntimeWarning) as warnings:
        forget()
    assert [str(warning.message) for warning in warnings] == [
        "coroutine 'coroutine_function' was never awaited"
    ]


def test_a_task_that_is_cancelled_before_it_starts_does_not_run() -> None:
    async def main() -> None:
        task = asyncio.create_task(coroutine_function("x"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("decorated", [function, coroutine_function, generator, asynchronous_generator])
def test_a_decorated_function_is_pickled_by_its_name_as_functions_are(decorated: Any, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(decorated, protocol)) is decorated  # noqa: S301 - it is our own


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_decorated_method_is_pickled_with_what_it_is_bound_to(protocol: int) -> None:
    agent = Agent()
    agent.name = "writer"
    decorated = [agent.method, Agent.class_method, agent.class_method_below, agent.static_method]
    unbound, bound, *others = pickle.loads(pickle.dumps([Agent.method, *decorated], protocol))  # noqa: S301 - ours
    assert bound.__self__.name == "writer"
    assert unbound(agent, "x") == bound("x") == agent.method("x")
    assert [method("x") for method in others] == [method("x") for method in decorated[1:]]


def test_a_decorated_function_is_copied_as_functions_are_not_at_all() -> None:
    assert copy.copy(function) is function
    assert copy.deepcopy({"tools": [function]}) == {"tools": [function]}
    assert copy.copy(Agent.method) == copy.deepcopy(Agent.method) == Agent.method


def test_a_decorated_method_is_copied_with_what_it_is_bound_to() -> None:
    agent = Agent()
    agent.name = "writer"
    copied, method, *others = copy.deepcopy([agent, agent.method, Agent.class_method, agent.static_method])
    assert method.__self__ is copied is not agent
    assert method("x") == agent.method("x")
    assert copy.copy(agent.method).__self__ is agent
    assert [each("x") for each in others] == [Agent.class_method("x"), agent.static_method("x")]


def test_a_local_function_cannot_be_pickled_decorated_or_not() -> None:
    def local() -> None: ...

    for each in (local, remember(local)):
        with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
            pickle.dumps(each)
