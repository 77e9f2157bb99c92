"""Each example runs in one command, without a key, and does what it says."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from serving import PATIENCE, ROOT, free_port, serving
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

Start = Callable[[str], str]

PREFERENCE = "I prefer Python for backend work."
QUESTION = "Which language should I use for backend work?"
ADVICE = "I would go with Python, since you prefer Python for backend work."
KNOWS_NOTHING = "I do not know that about you yet."


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an example that serves, and give its URL."""
    with ExitStack() as stack:

        def start(example: str) -> str:
            port = free_port()
            command = [str(ROOT / "examples" / example), "--port", str(port)]
            return stack.enter_context(serving(command, port, tmp_path))

        yield start


def test_fastapi(start: Start) -> None:
    url = start("fastapi_app.py")

    def ask(user: str, text: str) -> str:
        answer = httpx2.post(
            f"{url}/ask",
            headers={"authorization": f"bearer {user}s-token"},
            json={"text": text},
            timeout=PATIENCE,
        )
        said: str = answer.raise_for_status().json()["text"]
        return said

    def memories(token: str) -> httpx2.Response:
        return httpx2.get(f"{url}/memories", headers={"authorization": f"bearer {token}"})

    ask("alice", PREFERENCE)
    assert ask("alice", QUESTION) == ADVICE
    assert ask("bob", QUESTION).startswith(KNOWS_NOTHING)
    assert memories("alices-token").json() == ["Prefers Python for backend work"]
    assert memories("bobs-token").json() == []
    assert memories("forged-token").status_code == 401


def test_flask_under_gunicorn(start: Start) -> None:
    url = start("flask_app.py")

    with (
        httpx2.Client(base_url=url, timeout=PATIENCE) as alice,
        httpx2.Client(base_url=url, timeout=PATIENCE) as bob,
    ):
        for client, name in ((alice, "alice"), (bob, "bob")):
            assert client.post("/login", data={"name": name}).text == f"Hello, {name}.\n"
        alice.post("/ask", data={"text": PREFERENCE})
        for _ in range(8):  # whichever of the processes answers
            assert alice.get("/memories").json() == ["Prefers Python for backend work"]
            assert bob.get("/memories").json() == []
        assert alice.post("/ask", data={"text": QUESTION}).text == ADVICE + "\n"
        assert bob.post("/ask", data={"text": QUESTION}).text.startswith(KNOWS_NOTHING)
    assert httpx2.get(f"{url}/memories").status_code == 401


def test_websocket(start: Start) -> None:
    url = start("websocket_app.py").replace("http", "ws")

    def chat(name: str, token: str) -> ClientConnection:
        return connect(f"{url}/chats/{name}?token={token}")

    def say(connection: ClientConnection, text: str) -> str:
        connection.send(text)
        answer = ""
        while not answer.endswith("\n"):
            answer += str(connection.recv(timeout=PATIENCE))
        return answer.strip()

    with chat("monday", "alices-token") as monday, chat("monday", "bobs-token") as bobs:
        say(monday, PREFERENCE)
        assert say(monday, QUESTION) == ADVICE
        assert say(bobs, QUESTION).startswith(KNOWS_NOTHING)
    with chat("tuesday", "alices-token") as tuesday:
        assert say(tuesday, QUESTION) == ADVICE
    with (
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection,
        pytest.raises(InvalidStatus, match="403"),
    ):
        connect(f"{url}/chats/monday?token=forged-token", sock=connection)


def run(example: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / example],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert not list(folder.iterdir())
    return done.stdout


def test_agents(tmp_path: Path) -> None:
    said = run("agents.py", tmp_path)
    due, survey, printer = (
        "The article is due on Friday",
        "Still has to check the Rust survey",
        "The printer needs it",
    )
    for user, language in (("alice", "Python"), ("bob", "Go")):
        of_user = said[said.index(f"{user}:") :].splitlines()
        researcher, writer, editor, result = of_user[1:5]
        assert all(due in line for line in (researcher, writer, editor))
        assert survey in researcher
        assert survey not in writer + editor
        assert printer in editor
        assert printer not in researcher + writer
        assert result.endswith(f"I would go with {language}, since you prefer {language} for backend work.")


def test_providers(tmp_path: Path) -> None:
    said = run("providers.py", tmp_path)
    assert "I would go with Python" in said.partition("bob to Groq")[0]
    assert "I would go with Go" in said.partition("bob to Azure")[2]
