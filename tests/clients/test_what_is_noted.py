"""What the model notes becomes memories, once, at the right level; only what it was shown can it change."""

from collections.abc import Callable
from typing import Any

import pytest
from asking import block, user

from headroom import bind
from headroom.memory import Engine, Memory, MemoryCategory, MemoryFilter
from headroom.testing import Answer, ReceivedRequest, ScriptedServer

KNOWN = "Works at Google as an engineer"
QUESTION = "Where do I work as an engineer?"


@pytest.fixture
def ask(connect: Callable[..., Any], serve: Callable[..., ScriptedServer]) -> Callable[..., Any]:
    """Have the model answer with these notes to a question; the client's last exchange."""

    def ask(notes: str, question: str = QUESTION, **options: Any) -> Any:
        client = connect(serve(f"Yes.\n{notes}"), **options)
        completion = client.chat.completions.create(model="any", messages=user(question))
        assert completion.choices[0].message.content == "Yes."
        return client.memory.last_exchange

    return ask


def contents(engine: Engine, **scope: Any) -> list[str]:
    return [memory.content for memory in engine.query(MemoryFilter(user_id="alice", **scope))]


def handle_of(memory: Memory, engine: Engine) -> str:
    found = engine.search(QUESTION, "alice", min_score=engine.config.injection_min_score)
    return f"m{[other.id for other in found].index(memory.id) + 1}"


def test_a_note_becomes_a_memory_of_the_user(ask: Callable[..., Any], engine: Engine) -> None:
    exchange = ask(block({"content": "Likes tea", "category": "preference", "importance": 0.8}))
    (memory,) = engine.query(MemoryFilter(user_id="alice"))
    assert (memory.content, memory.category, memory.importance) == (
        "Likes tea",
        MemoryCategory.PREFERENCE,
        0.8,
    )
    assert exchange.stored == [memory]
    assert exchange.finished


@pytest.mark.parametrize(
    ("content", "category"),
    [("Prefers tea", "preference"), ("The user likes tea", "preference"), ("Drinks tea", "fact")],
)
def test_without_a_category_the_wording_decides(
    ask: Callable[..., Any], engine: Engine, content: str, category: str
) -> None:
    ask(block(content))
    assert [memory.category for memory in engine.query(MemoryFilter(user_id="alice"))] == [category]


def test_a_flawed_note_is_dropped_alone(ask: Callable[..., Any], engine: Engine) -> None:
    exchange = ask('<memory>{"memories": [{"content": 5}, "Likes tea", null]}</memory>')
    assert contents(engine) == ["Likes tea"]
    assert [refusal.reason for refusal in exchange.refused] == ["unreadable"] * 2


def test_what_cannot_be_stored_is_refused(ask: Callable[..., Any], engine: Engine) -> None:
    exchange = ask(block("x" * 9000, "Likes tea", "Likes \0 nothing"))
    assert contents(engine) == ["Likes tea"]
    assert len(exchange.refused) == 2


def test_what_the_model_was_shown_is_not_stored_again(ask: Callable[..., Any], engine: Engine) -> None:
    engine.add(KNOWN, "alice")
    exchange = ask(block(f"  {KNOWN.upper()}. "))
    assert contents(engine) == [KNOWN]
    assert [refusal.reason for refusal in exchange.refused] == ["remembered already"]


def test_what_was_shown_escaped_is_recognised(ask: Callable[..., Any], engine: Engine) -> None:
    engine.add("As an engineer writes List<int>", "alice")
    exchange = ask(block("As an engineer writes List&lt;int>", "As an engineer writes List<int>"))
    assert exchange.shown
    assert contents(engine) == ["As an engineer writes List<int>"]


def test_what_is_stored_but_was_not_shown_is_not_stored_again(
    ask: Callable[..., Any], engine: Engine
) -> None:
    engine.add("Likes tea", "alice")
    exchange = ask(block("likes tea!"))
    assert exchange.shown == {}
    assert contents(engine) == ["Likes tea"]


def test_a_note_made_twice_in_one_answer_is_one_memory(ask: Callable[..., Any], engine: Engine) -> None:
    ask(f"{block('Likes tea', 'likes tea.')}\n{block('Likes tea')}")
    assert contents(engine) == ["Likes tea"]


def test_the_choices_are_alternatives(
    connect: Callable[..., Any], serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    answers = [f"Yes.\n{block(content)}" for content in ("Likes tea", "Is fond of tea", "Loves tea")]
    client = connect(serve([["No notes.", *answers]]))
    completion = client.chat.completions.create(model="any", n=4, messages=user(QUESTION))
    assert [choice.message.content for choice in completion.choices] == ["No notes.", "Yes.", "Yes.", "Yes."]
    assert contents(engine) == ["Likes tea"]


def test_a_replacement_supersedes_what_was_shown(ask: Callable[..., Any], engine: Engine) -> None:
    old = engine.add(KNOWN, "alice", importance=0.9, category="context")
    exchange = ask(block({"content": "Works at Anthropic", "replaces": "m1"}))
    ((before, after),) = exchange.superseded
    assert before.id == old.id
    assert [memory.content for memory in engine.get_history(old.id)] == [KNOWN, "Works at Anthropic"]
    assert (after.importance, after.category) == (0.9, "context")
    assert contents(engine) == ["Works at Anthropic"]


def test_a_replacement_that_changes_nothing_does_nothing(ask: Callable[..., Any], engine: Engine) -> None:
    old = engine.add(KNOWN, "alice")
    ask(block({"content": KNOWN, "replaces": "m1"}))
    assert len(engine.get_history(old.id)) == 1


def test_two_replacements_of_one_memory_are_one_and_an_addition(
    ask: Callable[..., Any], engine: Engine
) -> None:
    engine.add(KNOWN, "alice")
    ask(
        block(
            {"content": "Works at Anthropic", "replaces": "m1"}, {"content": "Is a manager", "replaces": "m1"}
        )
    )
    assert contents(engine) == ["Works at Anthropic", "Is a manager"]


@pytest.mark.parametrize("handle", ["m2", "m99"])
def test_a_memory_that_was_not_shown_can_be_neither_replaced_nor_forgotten(
    ask: Callable[..., Any], engine: Engine, handle: str
) -> None:
    engine.add(KNOWN, "alice")
    engine.add("Likes tea", "alice")
    engine.add(KNOWN, "bob")
    exchange = ask(block({"content": "Works at Anthropic", "replaces": handle}, forget=[handle]))
    assert sorted(contents(engine)) == ["Likes tea", "Works at Anthropic", KNOWN]
    assert engine.count("bob") == 1
    assert len(exchange.refused) == 2


def test_what_is_to_be_forgotten_is_deleted_with_its_history(ask: Callable[..., Any], engine: Engine) -> None:
    old = engine.add(KNOWN, "alice")
    exchange = ask(block(forget=["m1", "m1"]))
    assert [memory.id for memory in exchange.forgotten] == [old.id]
    assert engine.get(old.id) is None


def test_what_was_replaced_is_not_forgotten_too(ask: Callable[..., Any], engine: Engine) -> None:
    engine.add(KNOWN, "alice")
    ask(block({"content": "Works at Anthropic", "replaces": "m1"}, forget=["m1"]))
    assert contents(engine) == ["Works at Anthropic"]


def test_a_replacement_that_comes_too_late_replaces_the_current_version(
    connect: Callable[..., Any], serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    old = engine.add(KNOWN, "alice")

    def answer(_: ReceivedRequest) -> str:
        engine.supersede(old.id, "Works at Meta")
        return block({"content": "Works at Anthropic", "replaces": "m1"})

    client = connect(serve(answer))
    client.chat.completions.create(model="any", messages=user(QUESTION))
    history = [memory.content for memory in engine.get_history(old.id)]
    assert history == [KNOWN, "Works at Meta", "Works at Anthropic"]


def test_a_replacement_that_somebody_else_made_already_is_not_made_again(
    connect: Callable[..., Any], serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    old = engine.add(KNOWN, "alice")

    def answer(_: ReceivedRequest) -> str:
        engine.supersede(old.id, "Works at Anthropic")
        return block({"content": "works at Anthropic.", "replaces": "m1"})

    client = connect(serve(answer))
    client.chat.completions.create(model="any", messages=user(QUESTION))
    assert len(engine.get_history(old.id)) == 2


def test_what_was_deleted_meanwhile_does_not_come_back(
    connect: Callable[..., Any], serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    old = engine.add(KNOWN, "alice")

    def answer(_: ReceivedRequest) -> str:
        engine.delete(old.id)
        return block({"content": "Works at Anthropic", "replaces": "m1"}, forget=["m1"])

    client = connect(serve(answer))
    client.chat.completions.create(model="any", messages=user(QUESTION))
    assert contents(engine) == []
    assert client.memory.last_exchange.forgotten == []


class TestLevels:
    """How far a note reaches."""

    NOTES = block(
        {"content": "Is debugging", "scope": "session"}, {"content": "Likes tea", "scope": "user"}, "Is 40"
    )

    def kept(self, engine: Engine) -> dict[str, str]:
        return {memory.content: memory.level for memory in engine.query(MemoryFilter(user_id="alice"))}

    def test_a_note_about_the_session_stays_in_it(self, ask: Callable[..., Any], engine: Engine) -> None:
        ask(self.NOTES, session_id="s1", agent_id="a1")
        assert self.kept(engine) == {"Is debugging": "session", "Likes tea": "user", "Is 40": "user"}
        assert contents(engine, session_id="s1") == ["Is debugging"]

    def test_without_a_session_it_is_the_users(self, ask: Callable[..., Any], engine: Engine) -> None:
        ask(self.NOTES)
        assert set(self.kept(engine).values()) == {"user"}

    def test_the_default_level_is_the_clients(self, ask: Callable[..., Any], engine: Engine) -> None:
        ask(self.NOTES, session_id="s1", agent_id="a1", default_level="agent")
        assert self.kept(engine) == {"Is debugging": "session", "Likes tea": "agent", "Is 40": "agent"}
        assert contents(engine, session_id="s1", agent_id="a1") == ["Likes tea", "Is 40"]

    def test_what_has_no_place_at_the_default_level_is_refused(
        self, ask: Callable[..., Any], engine: Engine
    ) -> None:
        exchange = ask(block("Likes tea"), default_level="session")
        assert contents(engine) == []
        assert [refusal.reason for refusal in exchange.refused] == ["there is no session to keep it in"]

    def test_turns_come_from_the_context(self, ask: Callable[..., Any], engine: Engine) -> None:
        with bind(turn_id="t1"):
            ask(block("Likes tea"), default_level="turn")
        assert contents(engine, turn_id="t1") == ["Likes tea"]


def test_only_allowed_categories_are_stored(ask: Callable[..., Any], engine: Engine) -> None:
    exchange = ask(
        block({"content": "Likes tea", "category": "preference"}, {"content": "Is 40", "category": "fact"}),
        categories=["preference"],
    )
    assert contents(engine) == ["Likes tea"]
    assert [refusal.what for refusal in exchange.refused] == ["Is 40"]


def test_what_is_stored_was_redacted(ask: Callable[..., Any], engine: Engine) -> None:
    def redact(content: str) -> str | None:
        return None if "password" in content else content.replace("alice@example.org", "[address]")

    engine.add(KNOWN, "alice")
    exchange = ask(
        block(
            "Writes from alice@example.org",
            "Has the password 1234",
            {"content": "Works at alice@example.org", "replaces": "m1"},
        ),
        redact=redact,
    )
    assert sorted(contents(engine)) == ["Works at [address]", "Writes from [address]"]
    assert [(refusal.what, refusal.reason) for refusal in exchange.refused] == [("[redacted]", "redacted")]


def test_with_extraction_off_a_block_is_the_callers_business(
    connect: Callable[..., Any], serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    answer = f"Yes.\n{block('Likes tea')}"
    client = connect(serve(answer), extract=False)
    completion = client.chat.completions.create(model="any", messages=user(QUESTION))
    assert completion.choices[0].message.content == answer
    assert contents(engine) == []


def test_a_refusal_is_cleaned_and_its_notes_are_taken(
    connect: Callable[..., Any], serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    client = connect(serve(Answer(refusal=f"I cannot help.\n{block('Likes tea')}")))
    completion = client.chat.completions.create(model="any", messages=user(QUESTION))
    assert completion.choices[0].message.refusal == "I cannot help."
    assert completion.choices[0].message.content is None
    chunks = client.chat.completions.create(model="any", messages=user(QUESTION), stream=True)
    refusal = "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks)
    assert refusal == "I cannot help."
    response = client.responses.create(model="any", input=QUESTION)
    assert response.output[0].content[0].refusal == "I cannot help."
    events = list(client.responses.create(model="any", input=QUESTION, stream=True))
    assert (
        "".join(event.delta for event in events if event.type == "response.refusal.delta") == "I cannot help."
    )
    assert contents(engine) == ["Likes tea"]
