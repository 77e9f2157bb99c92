"""Which scope a decorated function gets."""

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from headroom.decorators import Arg, remember
from headroom.errors import ConfigurationError, InvalidInputError, InvalidScopeError, MissingScopeError
from headroom.scope import ANONYMOUS, Scope, bind, current_scope, entered


@dataclass
class Thread:
    id: str | None
    owner: Any = None


def test_without_arguments_the_scope_is_the_callers() -> None:
    @remember
    def function() -> Scope:
        return current_scope()

    @remember()
    def called() -> Scope:
        return current_scope()

    for scope in (Scope(), ANONYMOUS, Scope("alice", "s", "planner", "t")):
        with entered(scope):
            assert function() == called() == scope


def test_fixed_parts_narrow_the_callers_scope() -> None:
    @remember(session="s", agent="planner")
    def function() -> Scope:
        return current_scope()

    with entered(Scope("alice", "other", turn_id="t")):
        assert function() == Scope("alice", "s", "planner", "t")


def test_another_user_inherits_nothing_of_the_callers_scope() -> None:
    @remember(user="bob")
    def function() -> Scope:
        return current_scope()

    with entered(Scope("alice", "s", "planner", "t")):
        assert function() == Scope("bob")
    with entered(ANONYMOUS):
        assert function() == Scope("bob")


def test_an_anonymous_request_stays_anonymous_in_its_agents() -> None:
    @remember(agent="planner", turn=True)
    def function() -> Scope:
        return current_scope()

    with entered(ANONYMOUS):
        assert function() == ANONYMOUS


def test_a_context_manager_runs_in_the_scope_and_its_block_in_the_callers() -> None:
    seen = []

    @remember(user=Arg("user"), agent="tools")
    @contextlib.contextmanager
    def tools_of(user: str) -> Iterator[str]:
        seen.append(current_scope())
        try:
            yield user
        except KeyError:
            seen.append(current_scope())

    with entered(Scope("admin")):
        with tools_of("bob") as user:
            assert (user, current_scope()) == ("bob", Scope("admin"))
            raise KeyError
        assert current_scope() == Scope("admin")
    assert seen == [Scope("bob", agent_id="tools")] * 2


@pytest.mark.anyio
async def test_so_does_an_asynchronous_one() -> None:
    seen = []

    @contextlib.asynccontextmanager
    async def tools() -> AsyncIterator[None]:
        seen.append(current_scope())
        yield
        seen.append(current_scope())

    with entered(Scope("admin")):
        async with remember(user="bob")(tools)():
            seen.append(current_scope())
    assert seen == [Scope("bob"), Scope("admin"), Scope("bob")]


def test_a_context_manager_that_decorates_a_function_runs_in_the_scope_at_each_call() -> None:
    seen = []

    class Tools:
        @remember(user=Arg("user"), agent="tools")
        @contextlib.contextmanager
        def of(self, user: str) -> Iterator[str]:
            seen.append(current_scope())
            yield user
            seen.append(current_scope())

    @Tools().of("bob")
    def work() -> Scope:
        return current_scope()

    for scope in (Scope("admin"), Scope("bob", "s")):
        with entered(scope):
            assert work() == scope
    assert seen == [Scope("bob", agent_id="tools")] * 2 + [Scope("bob", "s", "tools")] * 2


@pytest.mark.anyio
async def test_so_does_an_asynchronous_one_that_decorates() -> None:
    seen = []

    @remember(user="bob")
    @contextlib.asynccontextmanager
    async def tools() -> AsyncIterator[None]:
        seen.append(current_scope())
        yield
        seen.append(current_scope())

    @tools()
    async def work() -> None:
        seen.append(current_scope())

    with entered(Scope("admin")):
        await work()
    assert seen == [Scope("bob"), Scope("admin"), Scope("bob")]


def test_nested_agents_nest_and_return() -> None:
    @remember(agent="researcher")
    def research() -> list[Scope]:
        return [current_scope()]

    @remember(agent="planner", session="s")
    def plan() -> list[Scope]:
        return [current_scope(), *research(), current_scope()]

    with bind(user_id="alice"):
        planner = Scope("alice", "s", "planner")
        assert plan() == [planner, Scope("alice", "s", "researcher"), planner]


def test_a_plain_bind_in_a_function_ends_with_it() -> None:
    @remember(agent="planner")
    def function() -> Scope:
        bind(session_id="bound inside")
        return current_scope()

    with bind(user_id="alice"):
        assert function() == Scope("alice", "bound inside", "planner")
        assert current_scope() == Scope("alice")


@pytest.mark.anyio
async def test_concurrent_tasks_do_not_mix() -> None:
    @remember(user=Arg("user"), agent=Arg("agent"))
    async def work(user: str, agent: str) -> None:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
            assert current_scope() == Scope(user, agent_id=agent)
            await inner(agent=f"{agent} of {user}")

    @remember(agent=Arg("agent"))
    async def inner(*, agent: str) -> None:
        await anyio.lowlevel.checkpoint()
        assert current_scope().agent_id == agent

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(work, f"user {number}", f"agent {number % 3}")


@remember(user=Arg("user_id"), session=Arg("thread.id"), agent="planner")
def plan(user_id: str, thread: Any = None, **_: Any) -> Scope:
    """Tell the scope."""
    del user_id, thread
    return current_scope()


@pytest.mark.parametrize(
    ("call", "scope"),
    [
        (lambda: plan("alice", Thread("7")), Scope("alice", "7", "planner")),
        (lambda: plan(thread=Thread("7"), user_id="alice"), Scope("alice", "7", "planner")),
        (lambda: plan("alice", {"id": "7"}), Scope("alice", "7", "planner")),
        (lambda: plan("alice", SimpleNamespace(id="7"), more=1), Scope("alice", "7", "planner")),
        (lambda: plan("alice"), Scope("alice", None, "planner")),
        (lambda: plan("alice", Thread(None)), Scope("alice", None, "planner")),
    ],
)
def test_an_arg_reads_a_path_from_the_arguments(call: Callable[[], Scope], scope: Scope) -> None:
    assert call() == scope


def test_an_arg_that_gives_no_session_leaves_the_current_one() -> None:
    with bind(user_id="alice", session_id="s"):
        assert plan("alice") == Scope("alice", "s", "planner")


def test_an_arg_may_be_a_default_or_one_of_any_keywords() -> None:
    @remember(user=Arg("user"), session=Arg("session"))
    def function(user: str = "alice", **_: str) -> Scope:
        assert user == "alice"
        return current_scope()

    assert function(session="s") == Scope("alice", "s")
    with pytest.raises(InvalidInputError, match=r"was called without session=, which Arg\('session'\) reads"):
        function()


def test_a_callable_computes_the_identifier_from_the_arguments() -> None:
    class Agent:
        name = "planner"

        @remember(user=lambda _, request: request["user"], agent=lambda self, **_: self.name)
        def run(self, request: dict[str, str]) -> Scope:
            assert request
            return current_scope()

    assert Agent().run(request={"user": "alice"}) == Scope("alice", agent_id="planner")


def test_an_arg_that_names_no_parameter_is_refused_on_decoration() -> None:
    with pytest.raises(
        ConfigurationError, match=r"has no parameter 'user' for Arg\('user.id'\); it has: request, x"
    ):

        @remember(user=Arg("user.id"))
        def function(request: Any, x: int = 0) -> None:
            raise AssertionError(request, x)


def test_what_has_no_name_is_named_by_its_type() -> None:
    partial: Any = functools.partial(current_scope)
    with pytest.raises(ConfigurationError, match=r"^partial has no parameter 'nobody'"):
        remember(user=Arg("nobody"))(partial)
    with pytest.raises(MissingScopeError, match=r"^partial was called for no user"):
        remember(user=lambda: None)(partial)()


def test_a_fixed_identifier_that_cannot_be_one_is_refused_on_decoration() -> None:
    with pytest.raises(InvalidScopeError, match="agent_id is blank"):
        remember(agent=" ")(plan)


def test_a_string_in_the_place_of_the_function_is_explained() -> None:
    misused: Any = remember
    with pytest.raises(ConfigurationError, match=r"@remember\(agent='planner'\)"):
        misused("planner")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (plan, TypeError, "missing a required argument: 'user_id'"),
        (lambda: plan("alice", Thread("7"), 3), TypeError, "too many positional arguments"),
        (lambda: plan("alice", object()), InvalidInputError, r"Arg\('thread.id'\): a object has no 'id'"),
        (lambda: plan("alice", {}), InvalidInputError, r"Arg\('thread.id'\): a dict has no 'id'"),
        (lambda: plan("alice", Thread("")), InvalidScopeError, "session_id is blank"),
        (lambda: plan(7), InvalidScopeError, "user_id must be a string, not int"),
        (lambda: plan(None), MissingScopeError, "plan was called for no user"),
    ],
)
def test_a_call_without_what_the_scope_needs_is_a_clear_error(
    call: Callable[[], Any], error: type[Exception], says: str
) -> None:
    with entered(Scope("somebody else")):
        with pytest.raises(error, match=says):
            call()
        assert current_scope() == Scope("somebody else")
