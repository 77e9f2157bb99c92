"""Who asks what is known about them is told, the most important first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headroom.memory import Engine, MemoryConfig
from headroom.memory.lexical import analyse_query

NOTED = ["Prefers Python for backend work", "Is vegan", "Lives in Bern", "Has two cats", "Works at Initech"]
ASKED = [
    "What do you know about me?",
    "what do you remember about me",
    "Tell me about myself.",
    "Who am I?",
    "Do you remember me?",
    "Describe me in three sentences",
    "Tell me everything you know about me",
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        yield engine


def injected(engine: Engine, text: str) -> list[str]:
    found = engine.search(text, "bob", min_score=engine.config.injection_min_score)
    return [memory.content for memory in found]


@pytest.mark.parametrize("text", ASKED)
def test_all_that_is_known_is_found(engine: Engine, text: str) -> None:
    engine.add_many({"content": content, "user_id": "bob"} for content in NOTED)

    assert sorted(injected(engine, text)) == sorted(NOTED)


def test_of_many_the_most_important_are_found(engine: Engine) -> None:
    engine.add_many(
        {"content": f"Visited town number {n}", "user_id": "bob", "importance": 0.4} for n in range(40)
    )
    engine.add_many({"content": content, "user_id": "bob", "importance": 0.9} for content in NOTED)

    found = injected(engine, "What do you know about me?")

    assert len(found) == engine.config.top_k
    assert sorted(found[: len(NOTED)]) == sorted(NOTED)


@pytest.mark.parametrize(
    "text",
    ["What do you know about Bern?", "Write a poem", "They talked about me", "Who is that?", "Remember?"],
)
def test_nothing_else_asks_for_all(text: str) -> None:
    assert not analyse_query(text).asks_who_one_is
