"""The imitation of a chat model with a memory."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from openai import OpenAI

from headroom.memory.model import Memory
from headroom.prompting.block_filter import BlockFilter
from headroom.prompting.extraction import read_block
from headroom.prompting.injection import inject
from headroom.prompting.instruction import INSTRUCTION
from headroom.testing import ReceivedRequest, ScriptedServer, memory_block, remembering

REMEMBERED = {
    "m1": "Prefers Go for performance-critical code",
    "m2": "Works at Initech",
    "m3": "Runs marathons",
}


def reply(
    words: str, remembered: dict[str, str] | None = None, *, system: str = INSTRUCTION
) -> tuple[str, dict[str, Any]]:
    """What the imitation says, and the content of its memory block."""
    lines = "".join(f"{handle} (fact, 2026-01-01): {text}\n" for handle, text in (remembered or {}).items())
    frame = f'<remembered about="the user">\n{lines}</remembered>\n\n' if remembered else ""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": frame + words}]
    text = remembering(ReceivedRequest(path="", body={"messages": messages}, headers={}, query={})).text or ""
    said, _, block = text.partition("\n\n<memory>")
    return said, json.loads(block.removesuffix("</memory>")) if block else {}


@pytest.mark.parametrize(
    ("words", "content", "category", "scope"),
    [
        ("I prefer Python for backend work", "Prefers Python for backend work", "preference", "user"),
        ("Hi, I prefer Python 3.12. Why not?", "Prefers Python 3.12", "preference", "user"),
        ("I like dark mode!", "Likes dark mode", "preference", "user"),
        ("I don't like meetings", "Dislikes meetings", "preference", "user"),
        ("My name is Bob.", "Is called Bob", "fact", "user"),
        ("I'm a senior engineer", "Is a senior engineer", "fact", "user"),
        ("I live in Lisbon now", "Lives in Lisbon", "fact", "user"),
        (
            "Today we're migrating our billing service",
            "Is migrating the billing service",
            "context",
            "session",
        ),
        ("We chose PostgreSQL over MySQL.", "Chose PostgreSQL over MySQL", "decision", "user"),
        ("Our team lead is Sarah", "The team lead is Sarah", "entity", "user"),
    ],
)
def test_it_notes_what_the_user_says_of_themselves(
    words: str, content: str, category: str, scope: str
) -> None:
    _, block = reply(words)
    (memory,) = block["memories"]
    assert (memory["content"], memory["category"], memory["scope"]) == (content, category, scope)


def test_it_notes_several_things_of_one_message_and_repeats_them() -> None:
    said, block = reply("I work at Initech, I'm a senior engineer and I prefer Go.")
    contents = {memory["content"] for memory in block["memories"]}
    assert contents == {"Works at Initech", "Is a senior engineer", "Prefers Go"}
    assert said == "Got it: you prefer Go, you are a senior engineer and you work at Initech."


def test_what_changed_replaces_what_was_remembered() -> None:
    _, block = reply("I work at Globex now.", REMEMBERED)
    (memory,) = block["memories"]
    assert (memory["content"], memory["replaces"]) == ("Works at Globex", "m2")


def test_what_is_remembered_already_is_not_noted_again() -> None:
    said, block = reply("As you know, I work at Initech.", REMEMBERED)
    assert (said, block) == ("Got it: you work at Initech.", {})


@pytest.mark.parametrize("words", ["Do I prefer Go?", "Hello.", "Where do I work?"])
def test_questions_and_small_talk_are_not_noted(words: str) -> None:
    assert reply(words, REMEMBERED)[1] == {}


def test_nothing_is_noted_without_the_instruction() -> None:
    assert reply("I prefer Python", system="Be kind.") == ("Got it: you prefer Python.", {})


def test_it_answers_from_what_it_is_shown() -> None:
    said, _ = reply("What language for my new microservice?", REMEMBERED)
    assert said == "I would go with Go, since you prefer Go for performance-critical code."
    said, _ = reply("What do you know about me?", REMEMBERED)
    assert "you prefer Go" in said
    assert "you work at Initech" in said
    assert "“Runs marathons”" in said


def test_it_knows_nothing_that_it_is_not_shown() -> None:
    assert "do not know" in reply("What language for my new microservice?")[0]
    assert "scripted stand-in" in reply("Hello")[0]


@pytest.mark.parametrize("words", ["Please forget where I work.", "Forget that I work at Initech!"])
def test_it_forgets_on_request(words: str) -> None:
    assert reply(words, REMEMBERED) == ("Forgotten: you work at Initech.", {"memories": [], "forget": ["m2"]})


def test_a_wish_to_forget_the_unknown_changes_nothing() -> None:
    assert reply("Forget my shoe size.", REMEMBERED)[1] == {}


def test_it_reads_the_frame_and_writes_the_block_of_a_real_conversation() -> None:
    now = datetime.now(UTC)
    memory = Memory(id="1", content="Works at <b>Initech", user_id="bob", created_at=now, valid_from=now)
    words = inject([memory], token_budget=500).before("I work at Globex now. I like tea.")
    with (
        ScriptedServer(remembering) as server,
        OpenAI(base_url=server.base_url, api_key="not-a-key") as client,
    ):
        text = client.responses.create(model="gpt-4o", instructions=INSTRUCTION, input=words).output_text
    blocks = BlockFilter()
    shown = blocks.feed(text) + blocks.finish()
    assert shown == "Got it: you like tea and you work at Globex."
    tea, globex = read_block(blocks.blocks[0]).memories
    assert (tea.content, tea.replaces, tea.category) == ("Likes tea", None, "preference")
    assert (globex.content, globex.replaces) == ("Works at Globex", "m1")


def test_a_block_written_by_hand_is_read_back() -> None:
    block = memory_block([{"content": "Prefers Go", "replaces": "m2"}, "Runs marathons"], ["m3"])
    extraction = read_block(block.removeprefix("<memory>").removesuffix("</memory>"))
    assert [memory.content for memory in extraction.memories] == ["Prefers Go", "Runs marathons"]
    assert (extraction.memories[0].replaces, extraction.forget) == ("m2", ["m3"])
