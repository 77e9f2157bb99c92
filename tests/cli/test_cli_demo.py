"""`headroom demo`, as a newcomer starts it."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from headroom.memory import Engine, MemoryConfig, MemoryFilter
from headroom.testing import Failure, ScriptedServer, memory_block, remembering

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shown(run_in: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    done = run_in(tmp_path_factory.mktemp("demo"), "demo", COLUMNS="120")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_it_says_that_the_model_is_a_stand_in_and_where_the_database_is(shown: str) -> None:
    assert "no OPENAI_API_KEY is set: a scripted stand-in answers, on http://127.0.0.1:" in shown
    assert re.search(r"database +/\S+/memory.db \(removed at the end; --db keeps one\)", shown)


def test_the_afternoon_answers_from_what_the_morning_noted(shown: str) -> None:
    morning, afternoon = shown.split("Afternoon (session_id='afternoon')")
    assert "+ Prefers Go for performance-critical services  (preference, for the user)" in morning
    assert "+ Is migrating the billing service to Kubernetes  (context, for the session)" in morning
    assert "injected  nothing" in morning
    assert "Prefers Go for performance-critical services" in afternoon.split("model", maxsplit=1)[0]
    assert "I would go with Go, since you prefer Go for performance-critical services." in afternoon


def test_a_fact_that_changes_is_superseded_with_its_history(shown: str) -> None:
    before, after = "Works at Initech as a backend engineer", "Works at Globex as a backend engineer"
    assert f"~ {after}  (fact, for the user; it was: {before})" in shown
    _, history = shown.split("A fact that changed, and its history")
    then, now = (line for line in history.splitlines() if "Works at" in line)
    assert re.search(rf"{before} +\d{{4}}-.* +\d{{4}}-", then)
    assert re.search(rf"{after} +\d{{4}}-.* +now", now)


def test_what_is_stored_in_the_end_is_a_table(shown: str) -> None:
    _, table = shown.partition("A fact that changed")[0].split("What is stored now")
    rows = [
        re.split(r" {2,}", line.strip()) for line in table.splitlines() if re.search(r"\d{4}-\d\d-\d\d", line)
    ]
    assert [row[:3] for row in rows] == [
        ["preference", "user", "Prefers Go for performance-critical services"],
        ["context", "session 'morning'", "Is migrating the billing service to Kubernetes"],
        ["fact", "user", "Works at Globex as a backend engineer"],
    ]


def test_the_block_is_never_shown(shown: str) -> None:
    assert "<memory>" not in shown


def test_every_call_tells_its_times(shown: str) -> None:
    times = re.findall(r"time +recall [\d.]+ ms · model [\d.]+ ms.* · \d+ tokens injected", shown)
    assert len(times) == shown.count("\nyou ") == 5


@pytest.mark.parametrize("columns", [40, 80])
def test_it_fits_the_width_of_the_terminal(run: Run, columns: int) -> None:
    done = run("demo", COLUMNS=str(columns))
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= columns


def test_a_database_of_ones_own_is_kept_and_used_again(run: Run, tmp_path: Path) -> None:
    assert "demo.db (kept)" in run("demo", "--db", "demo.db").stdout
    again = run("demo", "--db", "demo.db")
    assert again.returncode == 0, again.stderr
    with Engine(MemoryConfig(db_path=tmp_path / "demo.db")) as engine:
        contents = sorted(memory.content for memory in engine.query(MemoryFilter(user_id="bob")))
    assert contents == [
        "Is migrating the billing service to Kubernetes",
        "Prefers Go for performance-critical services",
        "Works at Globex as a backend engineer",
    ]


def test_an_endpoint_of_ones_own_is_talked_to(run: Run) -> None:
    with ScriptedServer(remembering) as server:
        environment = {
            "OPENAI_API_KEY": "not-a-key",
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_MODEL": "local",
        }
        done = run("demo", **environment)
    assert done.returncode == 0, done.stderr
    assert "stand-in" not in done.stdout
    assert f"local at {server.base_url}" in " ".join(done.stdout.split())
    assert [request.body["model"] for request in server.requests] == ["local"] * 5


def test_what_a_real_model_does_beyond_the_script_is_shown_too(run: Run) -> None:
    language = "Prefers Go for performance-critical services"
    answers = [
        f"Noted. {memory_block([language])}",
        f"Fine. {memory_block([], forget=['m7'])}",
        f"As you like. {memory_block([], forget=['m1'])}",
        "I see.",
        "I do not know.",
    ]
    with ScriptedServer(answers) as server:
        done = run("demo", COLUMNS="120", OPENAI_API_KEY="not-a-key", OPENAI_BASE_URL=server.base_url)
    assert done.returncode == 0, done.stderr
    assert "! m7  (no memory was shown under this handle)" in done.stdout
    assert f"- {language}  (forgotten)" in done.stdout


def test_a_memory_that_fails_is_shown_where_it_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    done = run("demo", "--db", "text.db")
    assert "! recall failed: " in done.stdout
    assert "Got it: you prefer Go for performance-critical services" in " ".join(done.stdout.split())
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("headroom: ")


def test_a_model_that_fails_is_reported_in_one_line(run: Run) -> None:
    with ScriptedServer(Failure(401, "Incorrect API key provided.")) as server:
        done = run("demo", OPENAI_API_KEY="not-a-key", OPENAI_BASE_URL=server.base_url)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("headroom: the model did not answer: ")
    assert "Incorrect API key provided." in done.stderr
