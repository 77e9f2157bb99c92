"""A question about the world has to say more of a memory's words to find it than a question of one's own."""

from pathlib import Path

import pytest

from headroom.memory import Engine, MemoryConfig
from headroom.memory.lexical import analyse_query


@pytest.mark.parametrize(
    "text",
    [
        "Who founded Stripe?",
        "whats the population of Portugal",
        "Quick question: is a python venomous?",
        "explain photosynthesis",
        "Thanks!\n  how tall is Mount Hood",
    ],
)
def test_asks_about_the_world(text: str) -> None:
    assert analyse_query(text).impersonal


@pytest.mark.parametrize(
    "text",
    [
        "Who is my dentist?",
        "What language should I use?",
        "when did we choose the database",
        "What's mine?",
        "who covers while im away",
        "where have they put what ive ordered",
        "Suggest a dinner",
        "The thing is broken",
        "Wer hat Stripe gegründet?",
        "",
    ],
)
def test_asks_for_oneself_or_not_at_all(text: str) -> None:
    assert not analyse_query(text).impersonal


def test_who_is_named_is_found_without_a_word_for_who_asks(tmp_path: Path) -> None:
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        for content in (
            "Anna's birthday is on the 3rd of May",
            "Drives a Honda Civic",
            "Pays with Stripe",
            "Lives in Portland",
            "Plays the viola",
        ):
            engine.add(content, "bob")

        def injected(text: str) -> list[str]:
            found = engine.search(text, "bob", min_score=engine.config.injection_min_score)
            return [memory.content for memory in found]

        assert injected("When is Anna's birthday?") == ["Anna's birthday is on the 3rd of May"]
        assert injected("What is the fastest car in the world?") == []
