"""What a message asks is found, whatever else it says before and after."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from headroom.memory import Engine, MemoryConfig
from headroom.memory.recall import QUERY_LENGTH, check_query

LOG = """Traceback (most recent call last):
  File "/srv/app/worker.py", line 77, in process
    row = cursor.fetchone()["value"]
TypeError: 'NoneType' object is not subscriptable
"""
MINUTES = (
    "The committee met on Tuesday to review the proposals for the new bridge. Members raised concerns about"
    " the cost of steel and about traffic during the works. The engineer explained that the deck would be"
    " replaced in two stages, with one lane open at all times. A vote was taken and the motion carried by"
    " nine to four. "
)
DAY = (
    "I was on the phone for an hour and they put me through to three people. None of them knew anything."
    " Then the line went dead, so I had to start again. "
)
NOTES = {
    "What am I allergic to?": "Is allergic to penicillin",
    "When does my subscription renew?": "The subscription renews on 1 February",
    "who is doing the music for my game": "The soundtrack is composed by Elias Brandt",
    "Where do I work?": "Works as a nurse at St. Vincent's Hospital since 2019",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(MemoryConfig(db_path=tmp_path_factory.mktemp("among") / "memory.db")) as engine:
        engine.add_many({"content": content, "user_id": "bob"} for content in NOTES.values())
        engine.add_many(
            {"content": f"Collects the stamps of series {n}", "user_id": "bob"} for n in range(30)
        )
        yield engine


def injected(engine: Engine, text: str) -> list[str]:
    found = engine.search(text, "bob", min_score=engine.config.injection_min_score)
    return [memory.content for memory in found]


@pytest.mark.parametrize("question", NOTES)
@pytest.mark.parametrize(
    "message",
    ["{}", LOG * 6 + "{}", "{}\n" + LOG * 6, MINUTES + "\n{}", "{}\n\n" + MINUTES * 4, DAY + DAY + "{}"],
    ids=["alone", "after a log", "before a log", "after minutes", "before minutes", "after the day"],
)
def test_a_question_is_found_among_much_else(engine: Engine, question: str, message: str) -> None:
    assert NOTES[question] in injected(engine, message.format(question))


def test_the_last_question_is_found_before_good_wishes(engine: Engine) -> None:
    question = "When does my subscription renew?"

    assert NOTES[question] in injected(
        engine, f"Hello. {DAY}{question} I look forward to your answer. Thanks."
    )


@pytest.mark.parametrize("text", [LOG, MINUTES, DAY, LOG + "Hello!\nHow deep is the Mariana Trench?"])
def test_much_else_alone_brings_nothing(engine: Engine, text: str) -> None:
    assert injected(engine, text) == []


def test_each_memory_is_found_once(engine: Engine) -> None:
    found = engine.search(f"What am I allergic to? {DAY}Am I allergic to penicillin?", "bob", top_k=50)

    assert len(found) == len({memory.id for memory in found}) == len(NOTES) + 30
    assert found[0].content == "Is allergic to penicillin"


@pytest.mark.parametrize(
    ("query", "points"),
    [
        ("", ()),
        ("v1.2 or 3.4?", ("v1.2 or 3.4?",)),
        ("Tea? Or coffee? Thanks.", ("Or coffee?", "Thanks.")),
        ("\n```\nx = 1\n```", ("x = 1",)),
        ("我喜欢什么？谢谢", ("我喜欢什么？", "谢谢")),  # noqa: RUF001
        ("?!", ()),
    ],
)
def test_a_long_query_is_looked_for_whole_and_by_its_points(query: str, points: tuple[str, ...]) -> None:
    begin = f"I was {'very ' * 20}tired today."

    assert check_query(f"{begin} Then I slept. {query}")[:2] == (
        f"{begin} Then I slept. {query}".strip(),
        begin,
    )
    assert check_query(f"{begin} Then I slept. {query}")[2:] == (points or ("Then I slept.",))


@pytest.mark.parametrize("query", [" tea ", "Hello there. Do I like tea?", "?!", "very " * 100 + "tired"])
def test_a_short_query_or_a_single_sentence_is_looked_for_whole(query: str) -> None:
    assert check_query(query) == (query.strip(),)


def test_of_a_sentence_without_end_only_the_end_is_looked_for() -> None:
    assert check_query("a" * 5_000 + "b" * 5_000) == ("b" * QUERY_LENGTH,)


class Counting:
    """Counts how often it is called."""

    name = "counting"
    dimension = 2

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        self.asked.append(texts)
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_all_parts_are_embedded_in_one_call_and_only_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    counting = Counting()
    path = tmp_path_factory.mktemp("counting") / "memory.db"
    with Engine(MemoryConfig(db_path=path, embedder=counting)) as engine:
        engine.add("Likes tea", "bob")
        counting.asked.clear()

        for _ in range(2):
            engine.search(f"{DAY}Do I like tea?", "bob")

    [parts] = counting.asked
    assert parts == [f"{DAY}Do I like tea?", DAY.split(". ", maxsplit=1)[0] + ".", "Do I like tea?"]
