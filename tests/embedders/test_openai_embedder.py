"""The OpenAI backend, through the official SDK, against a service on loopback."""

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
SOON = {"retry-after-ms": "1"}

Connect = Callable[..., Embeddings]


@pytest.fixture
def connect(service: EmbeddingService) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(**settings: object) -> Embeddings:
            usual = {
                "embedder_backend": "openai",
                "embedder_model": "a-model",
                "openai_api_key": "sk-not-real",
                "openai_base_url": f"{service.url}/v1",
            }
            config = MemoryConfig(**usual | settings)  # type: ignore[arg-type]
            return stack.enter_context(closing(create_embedder(config)))

        yield connect


def test_vectors_come_in_the_order_of_the_texts(connect: Connect, service: EmbeddingService) -> None:
    texts = [f"text {number}" for number in range(5)]
    expected = np.array([service.vector(text) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(connect().embed(texts), expected, atol=1e-6)
    assert service.requests[0]["model"] == "a-model"
    assert service.authorizations == ["Bearer sk-not-real"]


def test_many_texts_go_in_batches_and_a_query_alone(connect: Connect, service: EmbeddingService) -> None:
    embeddings = connect()
    assert embeddings.embed([f"text {number}" for number in range(70)]).shape == (70, 8)
    embeddings.embed_query("a query")
    embeddings.embed_query("a query")
    assert [len(request["input"]) for request in service.requests] == [32, 32, 6, 1]


def test_an_unknown_dimension_is_asked_for_once(connect: Connect, service: EmbeddingService) -> None:
    embeddings = connect()
    assert (embeddings.dimension, embeddings.dimension) == (8, 8)
    assert len(service.requests) == 1


def test_a_first_answer_tells_the_dimension_too(connect: Connect, service: EmbeddingService) -> None:
    embeddings = connect()
    embeddings.embed(["text"])
    assert embeddings.dimension == 8
    assert len(service.requests) == 1


def test_a_dimension_that_changes_is_an_error(connect: Connect, service: EmbeddingService) -> None:
    embeddings = connect()
    embeddings.embed(["text"])
    service.dimension = 9
    with pytest.raises(EmbedderMismatchError, match="9 numbers where 8 were expected"):
        embeddings.embed(["text"])


def test_another_dimension_than_configured_is_an_error(connect: Connect) -> None:
    with pytest.raises(
        EmbedderMismatchError, match="openai:a-model returned vectors of 8 numbers where 1536"
    ):
        connect(vector_dimension=1536).embed(["text"])


def test_a_model_that_can_be_shortened_is_asked_to_be(connect: Connect, service: EmbeddingService) -> None:
    embeddings = connect(embedder_model="text-embedding-3-large", vector_dimension=256)
    assert embeddings.embed(["text"]).shape == (1, 256)
    assert service.requests[0]["dimensions"] == 256


def test_no_dimension_is_asked_of_others(connect: Connect, service: EmbeddingService) -> None:
    connect(vector_dimension=8).embed(["text"])
    assert "dimensions" not in service.requests[0]


@pytest.mark.parametrize(
    "failure",
    [Failure(429, {}, SOON), Failure(500, {}, SOON), Failure(503, b"<html>", SOON), Failure(drops=True)],
)
def test_what_may_pass_is_tried_again(connect: Connect, service: EmbeddingService, failure: Failure) -> None:
    service.failures.append(failure)
    assert connect().embed(["text"]).shape == (1, 8)
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (
            Failure(401, {"error": {"message": SECRET}}),
            EmbedderError,
            "401: it refuses the API key for a-model",
        ),
        (Failure(403, {"error": {"message": SECRET}}), EmbedderError, "check openai_api_key"),
        (
            Failure(404, {"error": {"message": SECRET}}),
            EmbedderUnavailableError,
            "not know the model a-model",
        ),
        (Failure(429, {"error": {"message": SECRET}}, SOON), EmbedderUnavailableError, "429 to 3 attempts"),
        (Failure(500, {"error": {"message": SECRET}}, SOON), EmbedderUnavailableError, "500 to 3 attempts"),
        (
            Failure(400, {"error": {"message": SECRET, "code": "too_long"}}),
            EmbedderError,
            r"400: it rejects the request \(too_long\)",
        ),
        (Failure(422, {"detail": SECRET}), EmbedderError, "422: it rejects the request"),
        (
            Failure(200, b"not JSON, but " + SECRET.encode()),
            EmbedderError,
            "did not answer as an embeddings API",
        ),
        (Failure(200, {}), EmbedderError, "did not answer as an embeddings API does"),
        (Failure(200, {"data": []}), EmbedderError, "did not answer as an embeddings API does"),
        (Failure(200, {"data": [SECRET]}), EmbedderError, "did not answer as an embeddings API does"),
        (Failure(200, [SECRET]), EmbedderError, "did not answer as an embeddings API does"),
        (Failure(200, {"data": [{"index": 0}]}), EmbedderError, "not one row for each"),
        (Failure(200, {"data": [{"index": 0, "embedding": None}]}), EmbedderError, "not one row for each"),
        (
            Failure(200, {"data": [{"index": 0, "embedding": [SECRET]}]}),
            EmbedderError,
            "did not return one vector",
        ),
        (Failure(200, {"data": [{"index": 0, "embedding": "!"}]}), EmbedderError, "not one row for each"),
        (
            Failure(200, {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1]}]}),
            EmbedderError,
            r"shape \(2, 1\) for 1 texts",
        ),
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
    shown = caught.getrepr(style="value", showlocals=False).reprcrash
    assert SECRET not in f"{caught.value} {shown} {caplog.text}"


def test_a_service_that_is_not_there_is_named(connect: Connect, nobody: str) -> None:
    with pytest.raises(
        EmbedderUnavailableError, match=f"{nobody}/v1/ cannot be reached; check openai_base_url"
    ):
        connect(openai_base_url=f"{nobody}/v1").embed(["text"])


def test_a_service_that_does_not_answer_is_given_up(connect: Connect, service: EmbeddingService) -> None:
    service.always = Failure(hangs=True)
    with pytest.raises(
        EmbedderUnavailableError, match=r"did not answer within 0\.05 s; see embedder_timeout"
    ):
        connect(embedder_timeout=0.05).embed(["text"])
    assert len(service.requests) == 3


def test_the_environment_says_where_the_service_is(
    connect: Connect, service: EmbeddingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    assert connect(openai_base_url=None, openai_api_key=None).embed(["text"]).shape == (1, 8)
    assert service.authorizations == ["Bearer sk-of-the-environment"]


def test_after_closing_a_new_connection_is_made(connect: Connect) -> None:
    embeddings = connect()
    embeddings.close()
    assert embeddings.embed(["text"]).shape == (1, 8)
    embeddings.close()
    embeddings.close()
