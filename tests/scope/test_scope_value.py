"""A scope checks its identifiers, and narrows as a request goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.errors import InvalidScopeError, MissingScopeError
from headroom.scope import ANONYMOUS, MAX_IDENTIFIER_LENGTH, PARTS, Scope, check_identifier

identifiers = st.sampled_from(["alice", "bob", "carol"])
parts = st.fixed_dictionaries({}, optional=dict.fromkeys(PARTS, identifiers))
scopes = st.builds(lambda given: Scope(**given), parts) | st.just(ANONYMOUS)


@pytest.mark.parametrize("value", ["alice", "ålice@example.com", "user 42", "a" * 256, "日本", "0"])
def test_usual_identifiers_are_accepted(value: object) -> None:
    assert check_identifier(value, "user_id") == value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (42, "must be a string, not int; pass str"),
        (b"alice", "must be a string, not bytes"),
        ("", "blank"),
        (" \t", "blank"),
        ("a" * 257, "257 characters; at most 256"),
        ("alice\n", "control or unprintable"),
        ("al\x00ice", "control or unprintable"),
        ("\ud800", "control or unprintable"),
        ("alice\u202e", "control or unprintable"),
    ],
)
@pytest.mark.parametrize("part", PARTS)
def test_an_identifier_that_cannot_be_one_is_refused_and_the_message_names_the_part(
    part: str, value: object, says: str
) -> None:
    with pytest.raises(InvalidScopeError, match=says) as refusal:
        Scope(**{part: value})
    assert part in str(refusal.value)


@given(st.text(max_size=300))
def test_whatever_the_text_it_is_either_kept_as_it_is_or_refused(text: str) -> None:
    try:
        assert Scope(text).user_id == text
    except InvalidScopeError:
        assert not text.strip() or len(text) > MAX_IDENTIFIER_LENGTH or not text.isprintable()


def test_an_anonymous_scope_has_no_parts() -> None:
    with pytest.raises(InvalidScopeError, match="an anonymous scope has no session_id"):
        Scope(session_id="s", anonymous=True)


def test_a_scope_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Scope("alice").user_id = "bob"


@given(scopes, parts)
def test_narrowing_gives_exactly_what_was_asked_for(scope: Scope, given: dict[str, str]) -> None:
    narrowed = scope.narrow(**given)
    if scope.anonymous and "user_id" not in given:
        assert narrowed == ANONYMOUS
    else:
        assert all(getattr(narrowed, part) == value for part, value in given.items())


@given(scopes, parts)
def test_the_same_user_inherits_what_was_not_asked_for(scope: Scope, given: dict[str, str]) -> None:
    narrowed = scope.narrow(**given)
    if scope.user_id in (None, narrowed.user_id) and not scope.anonymous:
        inherited = set(PARTS) - set(given)
        assert all(getattr(narrowed, part) == getattr(scope, part) for part in inherited)


@given(scopes, parts)
def test_another_user_inherits_nothing(scope: Scope, given: dict[str, str]) -> None:
    narrowed = scope.narrow(**given)
    if "user_id" in given and (scope.anonymous or scope.user_id not in (None, given["user_id"])):
        assert narrowed == Scope(**given)


@given(scopes, parts)
def test_narrowing_twice_by_the_same_parts_changes_nothing_more(scope: Scope, given: dict[str, str]) -> None:
    assert scope.narrow(**given).narrow(**given) == scope.narrow(**given)


def test_a_scope_without_a_user_says_what_to_do_about_it() -> None:
    assert Scope("alice").require_user() == "alice"
    for scope in (Scope(), Scope(agent_id="planner")):
        with pytest.raises(MissingScopeError, match=r"user_id=\.\.\., add MemoryMiddleware .*bind"):
            scope.require_user()
    with pytest.raises(MissingScopeError, match="nobody is logged in"):
        ANONYMOUS.require_user()
