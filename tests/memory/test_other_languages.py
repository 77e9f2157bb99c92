"""In languages that the bundled model hardly knows, all are near each other: that is no reason to recall.

The labels (data/labelled_languages.json) are one person's in nine languages.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headroom.memory import Engine, MemoryConfig
from headroom.memory.lexical import analyse_query

LANGUAGES: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parent / "data" / "labelled_languages.json").read_text(encoding="utf-8")
)["languages"]
OTHERS = sorted(LANGUAGES.keys() - {"en"})


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(MemoryConfig(db_path=tmp_path_factory.mktemp("languages") / "memory.db")) as engine:
        for language, labelled in LANGUAGES.items():
            engine.add_many({"content": content, "user_id": language} for content in labelled["memories"])
            # And one who speaks English as well.
            both = labelled["memories"][:6] + LANGUAGES["en"]["memories"][6:]
            engine.add_many({"content": content, "user_id": f"{language} and en"} for content in both)
        yield engine


def injected(engine: Engine, user: str, text: str) -> list[str]:
    found = engine.search(text, user, min_score=engine.config.injection_min_score)
    return [memory.content for memory in found]


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("speaks", ["{}", "{} and en"])
def test_unrelated_messages_bring_up_little(engine: Engine, language: str, speaks: str) -> None:
    brought = [injected(engine, speaks.format(language), text) for text in LANGUAGES[language]["unrelated"]]

    assert sum(map(len, brought)) / len(brought) < 2


def test_what_is_asked_for_is_found_more_often_than_not(engine: Engine) -> None:
    found = [
        wanted in injected(engine, language, text)[:5]
        for language in OTHERS
        for text, wanted in zip(LANGUAGES[language]["asked"], LANGUAGES[language]["memories"], strict=True)
    ]

    assert sum(found) / len(found) >= 0.62


def test_english_is_as_before(engine: Engine) -> None:
    labelled = LANGUAGES["en"]

    assert all(injected(engine, "en", text) == [] for text in labelled["unrelated"])
    pairs = zip(labelled["asked"], labelled["memories"], strict=True)
    assert sum(wanted in injected(engine, "en", text)[:5] for text, wanted in pairs) >= 11


def test_english_memories_of_one_subject_are_not_taken_for_a_language(tmp_path: Path) -> None:
    teas = [
        f"Likes {tea} tea in the {time}"
        for tea in ("green", "black", "oolong")
        for time in ("morning", "evening")
    ]
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        engine.add_many({"content": tea, "user_id": "bob"} for tea in teas)

        assert len(injected(engine, "bob", "What should I drink?")) == len(teas)


@pytest.mark.parametrize(
    "text", ["What do I like?", "please send me last month's bill", "Who runs the café?"]
)
def test_english(text: str) -> None:
    assert analyse_query(text).english


@pytest.mark.parametrize(
    "text",
    [
        "Wie alt ist meine Tochter?",
        "¿Cuándo me mudo?",
        "Где живёт моя мать?",
        "私の仕事は何ですか",
        "",
    ],
)
def test_not_english(text: str) -> None:
    assert not analyse_query(text).english
