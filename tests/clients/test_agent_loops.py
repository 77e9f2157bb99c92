"""Within a turn (several calls around the same last user message) the prompt stays byte for byte the same."""

from collections.abc import Callable
from typing import Any

import pytest
from asking import block, user

from headroom import bind
from headroom.memory import Engine, MemoryFilter
from headroom.prompting.injection import Injection
from headroom.prompting.instruction import INSTRUCTION
from headroom.testing import ScriptedServer

QUESTION = "Which editor should I use for Python?"
CALL = {"id": "1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}
STEP = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": "42"},
]


@pytest.fixture
def notes() -> list[str]:
    """What the model notes, call by call."""
    return [block("Uses Vim for Python"), block("Uses Emacs for Python"), "", "", "", ""]


@pytest.fixture
def server(serve: Callable[..., ScriptedServer], notes: list[str]) -> ScriptedServer:
    return serve([f"Yes.\n{note}" for note in notes])


@pytest.fixture
def client(connect: Callable[..., Any], server: ScriptedServer, engine: Engine) -> Any:
    engine.add("Prefers dark editors for Python", "alice")
    return connect(server)


def prompt(client: Any, server: ScriptedServer, messages: list[Any]) -> str:
    client.chat.completions.create(model="any", messages=messages)
    return server.requests[-1].user_text


def test_later_calls_of_a_turn_are_shown_what_the_first_was(client: Any, server: ScriptedServer) -> None:
    conversation = user(QUESTION)
    first = prompt(client, server, conversation)
    second = prompt(client, server, [*conversation, *STEP])
    third = prompt(client, server, [*conversation, *STEP, *STEP])
    assert first == second == third
    assert "m1" in first
    assert {request.system_text for request in server.requests} == {INSTRUCTION}


def test_the_next_turn_is_shown_what_is_known_by_then(client: Any, server: ScriptedServer) -> None:
    conversation = user(QUESTION)
    prompt(client, server, conversation)
    prompt(client, server, [*conversation, *STEP])
    answer = {"role": "assistant", "content": "Take Vim."}
    later = prompt(client, server, [*conversation, *STEP, answer, *user(QUESTION)])
    assert "Uses Vim" in later
    assert "Uses Emacs" in later


def test_the_same_question_in_a_new_conversation_is_another_turn(client: Any, server: ScriptedServer) -> None:
    assert "Uses Vim" not in prompt(client, server, user(QUESTION))
    assert "Uses Vim" in prompt(client, server, user(QUESTION))


def test_a_loop_that_another_process_began_is_shown_what_is_known(
    client: Any, server: ScriptedServer
) -> None:
    assert "Prefers dark" in prompt(client, server, [*user(QUESTION), *STEP])


def test_the_same_turn_of_two_users_is_two(
    connect: Callable[..., Any], server: ScriptedServer, engine: Engine
) -> None:
    client = connect(server, user_id=None)
    engine.add("Uses VS Code for Python", "bob")
    with bind(user_id="bob"):
        assert "VS Code" in prompt(client, server, user(QUESTION))
    with bind(user_id="eve"):
        assert "VS Code" not in prompt(client, server, [*user(QUESTION), *STEP])


def test_the_responses_api_has_turns_as_well(client: Any, server: ScriptedServer) -> None:
    items = [{"role": "user", "content": QUESTION}]
    step = [
        {"type": "function_call", "call_id": "1", "name": "lookup", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "42"},
    ]
    client.responses.create(model="any", input=items)
    client.responses.create(model="any", input=[*items, *step])
    first, second = (request.user_text for request in server.requests)
    assert first == second


def test_a_call_with_nothing_but_results_of_tools_is_shown_nothing(
    client: Any, server: ScriptedServer
) -> None:
    outputs = [{"type": "function_call_output", "call_id": "1", "output": "42"}]
    client.responses.create(model="any", input=outputs, previous_response_id="resp_1")
    assert server.requests[-1].body["input"] == outputs
    assert client.memory.last_exchange.shown == {}


@pytest.mark.parametrize("notes", [[block({"content": "Prefers light editors", "replaces": "m1"})] * 3])
def test_a_replacement_repeated_in_a_turn_is_made_once(
    client: Any, server: ScriptedServer, engine: Engine
) -> None:
    for steps in range(3):
        prompt(client, server, [*user(QUESTION), *STEP * steps])
    (memory,) = client.memory.get_all()
    assert [version.content for version in engine.get_history(memory.id)] == [
        "Prefers dark editors for Python",
        "Prefers light editors",
    ]


@pytest.mark.parametrize("notes", [[""] * 3])
def test_what_is_deleted_or_superseded_in_a_turn_is_shown_no_more(
    client: Any, server: ScriptedServer, engine: Engine
) -> None:
    (memory,) = engine.query(MemoryFilter(user_id="alice"))
    assert "Prefers dark" in prompt(client, server, user(QUESTION))
    engine.supersede(memory.id, "Prefers light editors for Python")
    later = prompt(client, server, [*user(QUESTION), *STEP])
    assert "Prefers light" in later
    assert "Prefers dark" not in later
    client.memory.clear()
    assert "Prefers" not in prompt(client, server, [*user(QUESTION), *STEP, *STEP])


@pytest.mark.parametrize("notes", [[""] * 2])
def test_a_turn_that_lasts_long_is_shown_what_is_known_by_then(
    client: Any, server: ScriptedServer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt(client, server, user(QUESTION))
    engine.add("Uses Helix for Python", "alice")
    monkeypatch.setattr("headroom.clients.core._TURN_SECONDS", 0)
    assert "Uses Helix" in prompt(client, server, [*user(QUESTION), *STEP])


def test_turns_are_kept_within_bounds(client: Any, engine: Engine) -> None:
    core = client._self_core
    for place in range(2000):
        core.keep_shown((place,), [], Injection())
    assert len(core._turns) == 512
    assert core.shown_before((1999,), engine) is not None
    assert core.shown_before((0,), engine) is None
