"""10,000 random questions: each finds exactly what may be seen from its scope, now or at a time before."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from word_embedder import WordEmbedder

from headroom.memory import Engine, Memory, MemoryConfig, MemoryFilter
from headroom.scope import Scope

START = datetime(2024, 1, 1, tzinfo=UTC)
EXAMPLES, QUESTIONS = 100, 100

USERS = ["alice", "bob", "alice ", "ALICE", "a%", "a_"]
PARTS = [None, "1", "2"]
DAYS = 20

parts = st.sampled_from(PARTS)
days = st.integers(0, DAYS)
births = st.lists(
    st.tuples(
        st.builds(Scope, st.sampled_from(USERS), parts, parts, parts), days, st.none() | days, st.booleans()
    ),
    min_size=1,
    max_size=25,
)


def questions(random: Random) -> Iterator[tuple[Scope, datetime | None, bool]]:
    """From where is asked, as of when, and whether over all sessions."""
    for _ in range(QUESTIONS):
        scope = Scope(random.choice(USERS), *(random.choice(PARTS) for _ in range(3)))
        then = random.choice([None, START + timedelta(days=random.randint(0, DAYS))])
        yield scope, then, random.random() < 0.3


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
@given(births=births, seed=st.integers(0, 2**32))
def test_nothing_outside_its_scope_and_nothing_missing(
    births: list[tuple[Scope, int, int | None, bool]], seed: int
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

        for scope, at, all_sessions in questions(Random(seed)):
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
        for user in USERS
        for memory in engine.query(MemoryFilter(user_id=user, include_superseded=True))
    ]
