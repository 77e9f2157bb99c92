"""What would be put into a prompt, on labelled notes: what is asked for is there, and nothing else is.

The labels (data/labelled_recall.json) are two people's notes, what they ask and which notes answer it, and
what they say that no note has to do with.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headroom.memory import Engine, Memory, MemoryConfig

PEOPLE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "labelled_recall.json").read_text()
)["people"]
NOW_IN = "the session that is asking"


class Labelled:
    """One engine with everybody's notes, and which of them is which."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.keys: dict[str, str] = {}
        for person in PEOPLE:
            self._store(person)

    def _store(self, person: dict[str, Any]) -> None:
        older = {note["by"]: note for note in person["superseded"]}
        for note in person["memories"]:
            if (old := older.get(note["key"])) is not None:
                first = self.engine.add(old["content"], person["name"], category=old["category"])
                self.keys[first.id] = old["key"]
                added = self.engine.supersede(first.id, note["content"], category=note["category"])
            else:
                added = self.engine.add(note["content"], person["name"], category=note["category"])
            self.keys[added.id] = note["key"]
        for note in person["other_scope"]:
            user, session = (
                ("somebody else", None) if note["owner"] == "user" else (person["name"], "another session")
            )
            added = self.engine.add(note["content"], user, session, category=note["category"])
            self.keys[added.id] = note["key"]

    def injected(self, person: dict[str, Any], text: str) -> list[Memory]:
        """What the defaults would inject."""
        return self.engine.search(
            text, person["name"], NOW_IN, min_score=self.engine.config.injection_min_score
        )


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labelled]:
    with Engine(MemoryConfig(db_path=tmp_path_factory.mktemp("labelled") / "memory.db")) as engine:
        yield Labelled(engine)


def test_what_is_asked_for_is_among_the_first_five(labelled: Labelled) -> None:
    shares = []
    for person in PEOPLE:
        for question in person["on_topic"]:
            first = {labelled.keys[memory.id] for memory in labelled.injected(person, question["query"])[:5]}
            shares.append(len(first.intersection(question["relevant"])) / len(question["relevant"]))

    assert len(shares) >= 100
    assert sum(shares) / len(shares) >= 0.90


def test_small_talk_and_other_subjects_bring_nothing(labelled: Labelled) -> None:
    quiet = [not labelled.injected(person, text) for person in PEOPLE for text in person["off_topic"]]

    assert len(quiet) >= 100
    assert sum(quiet) / len(quiet) >= 0.95


def test_what_was_superseded_and_what_belongs_elsewhere_never_shows(labelled: Labelled) -> None:
    for person in PEOPLE:
        forbidden = {note["key"] for kind in ("superseded", "other_scope") for note in person[kind]}
        texts = [question["query"] for question in person["on_topic"]]
        texts += [note["content"] for kind in ("superseded", "other_scope") for note in person[kind]]
        for text in texts:
            assert forbidden.isdisjoint(labelled.keys[found.id] for found in labelled.injected(person, text))
