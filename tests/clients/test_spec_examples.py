"""The specification's examples of clients, as written in meaning, against the scripted server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import CLIENTS, block, user

from headroom import with_memory
from headroom.memory import Engine, MemoryConfig
from headroom.testing import ScriptedServer

PYTHON = {"content": "Prefers Python for backend work", "category": "preference", "importance": 0.8}
GO = {"content": "Prefers Go for performance-critical code", "category": "preference"}
SCRIPT = {
    "I prefer Python for backend work": f"Good choice!\n\n{block(PYTHON)}",
    "I prefer Go": f"Noted.\n{block(GO)}",
    "language": "Let me see.",
}


def test_quick_start(serve: Callable[..., ScriptedServer], engine: Engine) -> None:
    server = serve(SCRIPT)
    client = with_memory(CLIENTS["openai", False](server), user_id="alice", memory=engine)
    response = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "I prefer Python for backend work"}]
    )
    assert response.choices[0].message.content == "Good choice!"

    response = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "What language should I use?"}]
    )
    assert "Prefers Python for backend work" in server.requests[-1].user_text
    client.close()


def test_the_afternoon_session_knows_what_the_morning_session_learned(
    serve: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    server = serve(SCRIPT)
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        client1 = with_memory(
            CLIENTS["openai", False](server), user_id="bob", session_id="morning-session", memory=engine
        )
        client1.chat.completions.create(
            model="gpt-4o", messages=user("I prefer Go for performance-critical code")
        )
        client1.close()
    with Engine(MemoryConfig(db_path=tmp_path / "memory.db")) as engine:
        client2 = with_memory(
            CLIENTS["openai", False](server), user_id="bob", session_id="afternoon-session", memory=engine
        )
        client2.chat.completions.create(
            model="gpt-4o", messages=user("What language for my new microservice?")
        )
        client2.close()
    assert "Prefers Go for performance-critical code" in server.requests[-1].user_text


def test_the_memory_api(connect: Callable[..., Any], serve: Callable[..., ScriptedServer]) -> None:
    client = connect(serve("Hello."))
    client.memory.add("Prefers Python over Java", category="preference")
    client.memory.add("User is a senior engineer", category="fact", importance=0.9)
    results = client.memory.search("python preferences", top_k=5)
    assert results[0].content == "Prefers Python over Java"
    assert len(client.memory.get_all()) == 2
    stats = client.memory.stats()
    assert stats["total"] == 2
    assert stats["categories"]["fact"] == 1

    old = results[0]
    new = client.memory.supersede(old.id, "Prefers Rust over Python")
    assert [memory.content for memory in client.memory.history(new.id)] == [
        "Prefers Python over Java",
        "Prefers Rust over Python",
    ]
    assert client.memory.delete(new.id)
    client.memory.clear()
    assert client.memory.get_all() == []


@pytest.mark.anyio
async def test_the_memory_api_of_an_asynchronous_client(
    connect_async: Callable[..., Any], serve: Callable[..., ScriptedServer]
) -> None:
    client = connect_async(serve("Hello."))
    old = await client.memory.add("Prefers Python over Java", category="preference")
    assert [memory.id for memory in await client.memory.search("python", top_k=5)] == [old.id]
    new = await client.memory.supersede(old.id, "Prefers Rust over Python")
    assert len(await client.memory.history(new.id)) == 2
    assert (await client.memory.stats())["total"] == len(await client.memory.get_all()) == 1
    assert await client.memory.delete(new.id)
    assert await client.memory.clear() == 0


def test_a_question_of_choice_shows_three_of_many_preferences_and_insights(
    serve: Callable[..., ScriptedServer], engine: Engine
) -> None:
    for number in range(30):
        engine.add(f"Likes the colour number {number} of the Pantone catalogue", "bob", category="preference")
        engine.add(f"Tends to travel with {number} suitcases in summer", "bob", category="insight")
    client = with_memory(CLIENTS["openai", False](serve("Rome.")), user_id="bob", memory=engine)
    client.chat.completions.create(model="any", messages=user("Which city should I visit in spring?"))
    assert len(client.memory.last_exchange.recalled) == 3
    client.close()
