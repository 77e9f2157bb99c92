"""The Ollama backend, through the official client, against a service on loopback."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import numpy as np
import pytest
from embedding_service import EmbeddingService, Failure

from headroom.errors import EmbedderError, EmbedderMismatchError, EmbedderUnavailableError
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import Embeddings, create_embedder

SECRET = "the secret of the house"

Connect = Callable[..., Embeddings]


@pytest.fixture
def connect(service: EmbeddingService) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(**settings: object) -> Embeddings:
            usual = {"embedder_backend": "ollama", "ollama_base_url": service.url}
            config = MemoryConfig(**usual | settings)  # type: ignore[arg-type]
            return stack.enter_context(closing(create_embedder(config)))

        yield connect


def test_vectors_come_in_the_order_of_the_texts(connect: Connect, service: EmbeddingService) -> None:
    texts = [f"text {number}" for number in range(5)]
    expected = np.array([service.vector(text) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(connect().embed(texts), expected, atol=1e-6)
    assert service.requests == [{"model": "nomic-embed-text", "input": texts}]


def test_many_texts_go_in_batches(connect: Connect, service: EmbeddingService) -> None:
    assert connect().embed([f"text {number}" for number in range(70)]).shape == (70, 8)
    assert [len(request["input"]) for request in service.requests] == [32, 32, 6]


def test_an_unknown_dimension_is_asked_for_once(connect: Connect, service: EmbeddingService) -> None:
    embeddings = connect()
    assert (embeddings.dimension, embeddings.dimension) == (8, 8)
    assert len(service.requests) == 1


def test_another_dimension_than_configured_is_an_error(connect: Connect) -> None:
    with pytest.raises(EmbedderMismatchError, match="8 numbers where 768 were expected"):
        connect(vector_dimension=768).embed(["text"])


@pytest.mark.parametrize("failure", [Failure(429, {}), Failure(503, {"error": "busy"}), Failure(drops=True)])
def test_what_may_pass_is_tried_again(connect: Connect, service: EmbeddingService, failure: Failure) -> None:
    service.failures.append(failure)
    assert connect().embed(["text"]).shape == (1, 8)
    assert len(service.requests) == 2


def test_what_does_not_pass_is_given_up(connect: Connect, service: EmbeddingService) -> None:
    service.always = Failure(500, {"error": SECRET})
    with pytest.raises(EmbedderUnavailableError, match="answered 500 to 4 attempts") as caught:
        connect().embed([SECRET])
    assert SECRET not in str(caught.value)
    assert len(service.requests) == 4


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (
            Failure(404, {"error": f"model {SECRET} not found"}),
            EmbedderUnavailableError,
            "has no model nomic-embed-text; get it with: ollama pull nomic-embed-text",
        ),
        (Failure(400, {"error": SECRET}), EmbedderError, "rejects the request: it answered 400"),
        (Failure(200, b"not JSON, but " + SECRET.encode()), EmbedderError, "did not answer as Ollama does"),
        (Failure(200, {"embeddings": SECRET}), EmbedderError, "did not answer as Ollama does"),
        (Failure(200, {"embeddings": [[SECRET]]}), EmbedderError, "did not answer as Ollama does"),
        (Failure(200, {}), EmbedderError, "did not answer as Ollama does"),
        (Failure(200, [SECRET]), EmbedderError, "did not answer as Ollama does"),
        (Failure(200, {"embeddings": []}), EmbedderError, "for 1 texts"),
        (Failure(200, {"embeddings": [[]]}), EmbedderError, "for 1 texts"),
        (Failure(200, {"embeddings": [[1.0], [2.0]]}), EmbedderError, r"shape \(2, 1\) for 1 texts"),
        (Failure(400, [SECRET]), EmbedderError, "did not answer as Ollama does"),
    ],
)
def test_a_failure_says_what_to_do_and_never_the_text(
    connect: Connect,
    service: EmbeddingService,
    caplog: pytest.LogCaptureFixture,
    failure: Failure,
    kind: type[EmbedderError],
    said: str,
) -> None:
    service.always = failure
    with caplog.at_level(logging.INFO), pytest.raises(kind, match=said) as caught:
        connect().embed([SECRET])
    assert type(caught.value) is kind
    assert SECRET not in f"{caught.value} {caplog.text}"
    assert len(service.requests) == 1


def test_no_server_says_how_to_start_one(connect: Connect, nobody: str) -> None:
    with pytest.raises(EmbedderUnavailableError, match=f"answers at {nobody}; start it with: ollama serve"):
        connect(ollama_base_url=nobody).embed(["text"])


def test_a_server_that_does_not_answer_is_given_up(connect: Connect, service: EmbeddingService) -> None:
    service.always = Failure(hangs=True)
    with pytest.raises(EmbedderUnavailableError, match=r"did not answer within 0\.1 s; see embedder_timeout"):
        connect(embedder_timeout=0.1).embed(["text"])
    assert len(service.requests) == 1
