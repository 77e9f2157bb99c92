"""Where little is known, that little is found when it matters and stays away when it does not."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from headroom.memory import Engine, MemoryConfig
from headroom.memory.lexical import analyse_query

PEOPLE = json.loads((Path(__file__).parent / "data" / "labelled_recall.json").read_text())["people"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        yield engine


def injected(engine: Engine, query: str, user: str = "bob") -> list[str]:
    found = engine.search(query, user, min_score=engine.config.injection_min_score)
    return [memory.content for memory in found]


@pytest.mark.parametrize(
    "noted", ["Prefers Go for performance-critical code", "User prefers Go for fast code"]
)
@pytest.mark.parametrize(
    "question",
    ["What language for my new microservice?", "What language should I use?", "Recommend a language to me"],
)
def test_a_question_of_choice_finds_the_preference(engine: Engine, noted: str, question: str) -> None:
    engine.add(noted, "bob", category="preference")

    assert injected(engine, question) == [noted]


def test_a_question_of_choice_brings_up_three_preferences_at_most(engine: Engine) -> None:
    for number in range(30):
        engine.add(f"Likes the colour number {number} of the Pantone catalogue", "bob", category="preference")
        engine.add(f"Owns the house number {number} in Elm Street", "bob", category="fact")

    assert len(injected(engine, "Which city should I visit in spring?")) <= 3


def test_only_questions_of_choice_lift_preferences(engine: Engine) -> None:
    engine.add("Prefers Go for performance-critical code", "bob", category="preference")

    assert injected(engine, "What is the capital of France?") == []


@pytest.mark.parametrize(
    "question",
    [
        "Which phone should I buy?",
        "What would suit my kitchen?",
        "suggest a name",
        "What's best for my back?",
    ],
)
def test_a_choice_is_asked_for(question: str) -> None:
    assert analyse_query(question).asks_for_choice


@pytest.mark.parametrize(
    "text", ["What is a monad?", "For my part, yes.", "This is best. For my dog too.", "Who am I?"]
)
def test_no_choice_is_asked_for(text: str) -> None:
    assert not analyse_query(text).asks_for_choice


def test_a_change_finds_what_it_changes_among_few_memories(engine: Engine) -> None:
    engine.add("Works at Initech", "bob")
    engine.add("Prefers Go for performance-critical code", "bob", category="preference")

    assert injected(engine, "By the way, I work at Globex now.") == ["Works at Initech"]


@pytest.mark.parametrize("count", [1, 3, 10])
def test_few_memories_are_no_reason_to_bring_them_up(engine: Engine, count: int) -> None:
    choose = random.Random(count)
    quiet = []
    for person in PEOPLE:
        for round_ in range(3):
            user = f"{person['name']} {round_}"
            for note in choose.sample(person["memories"], count):
                engine.add(note["content"], user, category=note["category"])
            quiet += [not injected(engine, text, user) for text in person["off_topic"]]

    assert sum(quiet) / len(quiet) >= 0.95
