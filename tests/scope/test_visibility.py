"""A memory is visible from a scope when each part it names equals the scope's."""

from datetime import UTC, datetime
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from headroom.memory.model import Memory, ScopeLevel
from headroom.scope import ANONYMOUS, PARTS, Scope

NOW = datetime(2025, 6, 1, tzinfo=UTC)
identifiers = st.sampled_from(["a", "b"])
owners = st.builds(Scope, identifiers, *[st.none() | identifiers] * 3)
viewers = st.builds(Scope, *[st.none() | identifiers] * 4) | st.just(ANONYMOUS)


def memory_of(scope: Scope) -> None:
    return Memory(
        id="m",
        content="Prefers Python",
        user_id=scope.user_id,
        session_id=scope.session_id,
        agent_id=scope.agent_id,
        turn_id=scope.turn_id,
        created_at=NOW,
        valid_from=NOW,
    )


@given(owners, viewers)
def test_every_part_the_memory_names_must_be_the_scopes(owner: Scope, viewer: Scope) -> None:
    named = [part for part in PARTS if getattr(owner, part) is not None]
    expected = all(getattr(owner, part) == getattr(viewer, part) for part in named)
    assert memory_of(owner).visible_from(viewer) == expected


@given(owners)
def test_a_memory_is_visible_where_it_was_made_and_in_everything_narrower(owner: Scope) -> None:
    memory = memory_of(owner)
    missing = [part for part in PARTS if getattr(owner, part) is None]
    for values in product([None, "a", "b"], repeat=len(missing)):
        narrower = owner.narrow(**dict(zip(missing, values, strict=True)))
        assert memory.visible_from(narrower)


@given(owners, viewers)
def test_nobody_sees_the_memory_of_another_user(owner: Scope, viewer: Scope) -> None:
    if owner.user_id != viewer.user_id:
        assert not memory_of(owner).visible_from(viewer)


@given(owners)
def test_the_level_is_the_narrowest_part_that_is_named(owner: Scope) -> None:
    memory = memory_of(owner)
    levels = dict(zip(PARTS, ScopeLevel, strict=True))
    narrowest = [part for part in PARTS if getattr(owner, part) is not None][-1]
    assert memory.level == levels[narrowest]
    assert memory.scope == owner
