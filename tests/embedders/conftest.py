"""The bundled model, recorded vectors to compare it with, and a service to embed over the wire."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from embedding_service import EmbeddingService
from reference_vectors import DIRECTORY, Reference

from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import Embeddings, create_embedder


@pytest.fixture(scope="session")
def reference() -> Reference:
    vectors = np.load(DIRECTORY / "vectors.npz")
    sentences = (DIRECTORY / "sentences.txt").read_text("utf-8").splitlines()
    return Reference(sentences, vectors["official"], vectors["bundled"])


@pytest.fixture(scope="session")
def bundled() -> Embeddings:
    return create_embedder(MemoryConfig())


@pytest.fixture
def service() -> Iterator[EmbeddingService]:
    with EmbeddingService() as service:
        thread = Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.ended.set()
        service.shutdown()
        thread.join()


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return f"http://127.0.0.1:{server.server_port}"
