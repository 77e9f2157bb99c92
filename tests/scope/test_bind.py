"""`bind` says whose memory the code that follows uses: for a block, or for the rest of the request."""

import gc
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from headroom.errors import InvalidScopeError
from headroom.scope import ANONYMOUS, Scope, bind, current_scope, entered


def test_without_any_binding_the_scope_is_empty() -> None:
    assert current_scope() == Scope()


def test_a_block_has_its_scope_and_leaves_none_behind() -> None:
    with bind(user_id="alice", session_id="s") as scope:
        assert scope == current_scope() == Scope("alice", "s")
    assert current_scope() == Scope()


def test_blocks_nest_and_inherit() -> None:
    with bind(user_id="alice"), bind(session_id="s"):
        with bind(agent_id="planner", turn_id="t"):
            assert current_scope() == Scope("alice", "s", "planner", "t")
        assert current_scope() == Scope("alice", "s")


def test_another_user_in_an_inner_block_inherits_nothing() -> None:
    with bind(user_id="alice", session_id="s", agent_id="planner"):
        with bind(user_id="bob"):
            assert current_scope() == Scope("bob")
        assert current_scope() == Scope("alice", "s", "planner")


def test_a_block_that_fails_is_left_all_the_same() -> None:
    with pytest.raises(ZeroDivisionError), bind(user_id="alice"):
        raise ZeroDivisionError
    assert current_scope() == Scope()


def test_a_plain_call_holds_for_the_rest_of_the_block() -> None:
    with entered(ANONYMOUS):
        bind(user_id="alice")
        assert current_scope() == Scope("alice")
        bind(session_id="s")
        assert current_scope() == Scope("alice", "s")
    assert current_scope() == Scope()


def test_a_plain_call_inside_an_inner_block_ends_with_that_block() -> None:
    with entered(Scope("alice")):
        with bind(agent_id="planner"):
            bind(session_id="s")
            assert current_scope() == Scope("alice", "s", "planner")
        assert current_scope() == Scope("alice")


def test_an_anonymous_request_stays_anonymous_until_it_is_given_a_user() -> None:
    with entered(ANONYMOUS):
        with bind(agent_id="planner"):
            assert current_scope() == ANONYMOUS
        bind(session_id="s")
        assert current_scope() == ANONYMOUS
        bind(user_id="alice")
        assert current_scope() == Scope("alice")


def test_outside_of_any_block_a_plain_call_holds_for_the_rest_of_the_task() -> None:
    def script() -> None:
        bind(user_id="alice")
        with bind(agent_id="planner"):
            assert current_scope() == Scope("alice", agent_id="planner")
        bind(session_id="s")
        assert current_scope() == Scope("alice", "s")

    copy_context().run(script)
    assert current_scope() == Scope()


def test_a_kept_binding_holds_where_it_was_made() -> None:
    with entered(ANONYMOUS):
        kept = bind(user_id="alice")
        assert current_scope() == Scope("alice")
        del kept
        assert current_scope() == Scope("alice")


def test_a_kept_binding_may_be_entered_later_and_again() -> None:
    with entered(Scope("alice")):
        planner = bind(agent_id="planner")
        assert current_scope().agent_id == "planner"
        for _ in range(2):
            bind(agent_id="writer")
            with planner:
                assert current_scope().agent_id == "planner"
            assert current_scope().agent_id == "writer"


def test_two_bindings_in_one_statement_are_two_blocks() -> None:
    with bind(user_id="alice"), bind(agent_id="planner") as scope:
        assert scope == Scope("alice", agent_id="planner")
    assert current_scope() == Scope()


def test_a_bad_identifier_is_refused_and_nothing_is_bound() -> None:
    with entered(Scope("alice")):
        with pytest.raises(InvalidScopeError, match="user_id must be a string, not int"):
            bind(user_id=42)
        assert current_scope() == Scope("alice")


def test_a_generator_closed_elsewhere_leaves_quietly() -> None:
    def answers() -> Iterator[Scope]:
        with bind(user_id="alice"):
            yield current_scope()

    generator = answers()
    assert copy_context().run(next, generator) == Scope("alice")
    generator.close()
    assert current_scope() == Scope()


def test_thousands_of_plain_calls_leave_nothing_behind() -> None:
    with entered(Scope("alice")):
        gc.collect()
        before = len(gc.get_objects())
        for number in range(5_000):
            bind(turn_id=str(number))
        gc.collect()
        assert len(gc.get_objects()) - before < 100
