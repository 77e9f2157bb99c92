"""What five people's messages bring up, as it would be put into a prompt.

The labels (data/labelled_messages.json) were written before anything was measured with them. The bars are
what holds with the bundled model, less a little: a note that bears on a message without sharing its subject
("is vegan", "cheap dinner ideas") is found only sometimes, and a message that shares its subject without
asking for it ("who founded Stripe?" of one who pays with Stripe) is not always quiet.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headroom.memory import Engine, MemoryConfig

LABELLED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "labelled_messages.json").read_text(encoding="utf-8")
)
PEOPLE: list[dict[str, Any]] = LABELLED["people"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(MemoryConfig(db_path=tmp_path_factory.mktemp("labelled") / "memory.db")) as engine:
        for person in PEOPLE:
            engine.add_many(
                {
                    "content": note["content"],
                    "user_id": person["name"],
                    "category": note["category"],
                    "metadata": {"key": note["key"]},
                }
                for note in person["memories"]
            )
        yield engine


def injected(engine: Engine, user: str, text: str) -> list[str]:
    """The keys of what the defaults would inject."""
    found = engine.search(text, user, min_score=engine.config.injection_min_score)
    return [memory.metadata["key"] for memory in found]


def found_share(engine: Engine, kind: str) -> float:
    """How much of what is wanted is among the first five."""
    hits = [
        key in injected(engine, person["name"], question["query"])[:5]
        for person in PEOPLE
        for question in person[kind]
        for key in question["relevant"]
    ]
    assert len(hits) >= 100
    return sum(hits) / len(hits)


def quiet_share(engine: Engine, messages: Iterable[tuple[str, str]]) -> float:
    """How many of the messages, each after who says it, bring nothing."""
    quiet = [not injected(engine, user, text) for user, text in messages]
    assert len(quiet) >= 50
    return sum(quiet) / len(quiet)


def test_what_is_asked_for_directly_is_found(engine: Engine) -> None:
    assert found_share(engine, "asked_directly") >= 0.93


def test_what_a_message_implies_is_found_sometimes(engine: Engine) -> None:
    assert found_share(engine, "implied") >= 0.38


def test_what_has_to_do_with_nothing_brings_nothing(engine: Engine) -> None:
    assert quiet_share(engine, ((p["name"], text) for p in PEOPLE for text in p["unrelated"])) >= 0.97


def test_a_word_in_common_is_seldom_enough(engine: Engine) -> None:
    assert quiet_share(engine, ((p["name"], text) for p in PEOPLE for text in p["same_word"])) >= 0.60


def test_a_question_of_choice_about_something_else_brings_nothing_as_a_rule(engine: Engine) -> None:
    assert quiet_share(engine, ((p["name"], text) for p in PEOPLE for text in LABELLED["choices"])) >= 0.75


def test_a_personal_request_about_something_else_brings_nothing(engine: Engine) -> None:
    assert quiet_share(engine, ((p["name"], text) for p in PEOPLE for text in LABELLED["requests"])) >= 0.95
