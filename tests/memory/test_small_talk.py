"""Small talk brings nothing up, even where the only memory is as short as the message."""

from pathlib import Path

import pytest

from headroom.memory import Engine, MemoryConfig

SMALL_TALK = [
    "Thanks!", "thx", "Hello!", "hi", "ok", "How are you?", "Good morning", "Write a haiku", "continue",
    "why?", "yes please", "tell me a joke", "What's the weather?", "go on", "great", "no", "2+2?",
    "Can you help me?",
]  # fmt: skip
SHORT = ["Likes tea", "Likes jazz", "Has a dog", "Is 34", "Lives in Bern", "Loves hiking", "Is vegan"]


@pytest.mark.parametrize("noted", SHORT)
def test_small_talk_brings_nothing(tmp_path: Path, noted: str) -> None:
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        engine.add(noted, "bob")

        loud = [
            text
            for text in SMALL_TALK
            if engine.search(text, "bob", min_score=engine.config.injection_min_score)
        ]

        assert loud == []


@pytest.mark.parametrize(
    ("asked", "noted"),
    [("my job?", "Works at Initech"), ("Where do I live?", "Lives in Bern"), ("What's my diet?", "Is vegan")],
)
def test_a_short_question_about_oneself_is_enough(tmp_path: Path, asked: str, noted: str) -> None:
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        engine.add(noted, "bob")

        [found] = engine.search(asked, "bob", min_score=engine.config.injection_min_score)

        assert found.content == noted
