"""10,000 random questions: each finds exactly what may be seen from its scope, now or at a time before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from word_embedder import WordEmbedder

from headroom.memory import Engine, Memory, MemoryConfig, MemoryFilter
from headroom.scope import Scope

START = datetime(2024, 1, 1, tzinfo=UTC)
EXAMPLES, QUESTIONS = 100, 100

users = st.sampled_from(["alice", "bob", "alice ", "ALICE", "a%", "a_"])
parts = st.none() | st.sampled_from(["1", "2"])
scopes = st.builds(Scope, users, parts, parts, parts)
days = st.integers(0, 20)
births = st.lists(st.tuples(scopes, days, st.none() | days, st.booleans()), min_size=1, max_size=25)
questions = st.lists(
    st.tuples(scopes, st.none() | days, st.booleans()), min_size=QUESTIONS, max_size=QUESTIONS
)


def visible(memory: Memory, scope: Scope, at: datetime | None, *, all_sessions: bool) -> bool:
    """The oracle: what the documentation says, one rule at a time."""
    if memory.user_id != scope.user_id:
        return False
    if not all_sessions:
        for part in ("session_id", "agent_id", "turn_id"):
            if getattr(memory, part) not in (None, getattr(scope, part)):
                return False
    if at is None:
        return memory.superseded_by is None
    return memory.valid_from <= at and (memory.valid_until is None or at < memory.valid_until)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(births=births, questions=questions)
def test_nothing_outside_its_scope_and_nothing_missing(
    births: list[tuple[Scope, int, int | None, bool]], questions: list[tuple[Scope, int | None, bool]]
) -> None:
    never = datetime(2999, 1, 1, tzinfo=UTC)
    with (
        TemporaryDirectory() as folder,
        Engine(MemoryConfig(db_path=Path(folder) / "memory.db", embedder=WordEmbedder())) as engine,
    ):
        for number, (scope, day, later, gone) in enumerate(births):
            added = engine.add(
                f"thing{number}",
                scope.user_id or "",
                scope.session_id,
                scope.agent_id,
                scope.turn_id,
                valid_from=START + timedelta(days=day),
                expires_at=never,
            )
            if later is not None:
                since = START + timedelta(days=day + 1 + later)
                added = engine.supersede(added.id, f"change{number}", valid_from=since)
            if gone:
                engine.delete(added.id)
        memories = _everything(engine)

        for scope, day, all_sessions in questions:
            at = None if day is None else START + timedelta(days=day)
            found = engine.search(
                "thing1",
                scope.user_id or "",
                scope.session_id,
                scope.agent_id,
                scope.turn_id,
                top_k=1_000,
                min_score=0,
                all_sessions=all_sessions,
                as_of=at,
            )
            expected = {m.id for m in memories if visible(m, scope, at, all_sessions=all_sessions)}
            assert {memory.id for memory in found} == expected
            assert len(found) == len(expected)


def _everything(engine: Engine) -> list[Memory]:
    return [
        memory
        for user in ("alice", "bob", "alice ", "ALICE", "a%", "a_")
        for memory in engine.query(MemoryFilter(user_id=user, include_superseded=True))
    ]
