"""Embeddings and models, as the OpenAI SDK reads them over HTTP."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from openai import BadRequestError, OpenAI
from openai.types import CreateEmbeddingResponse


@pytest.fixture
def client(connect: Callable[..., OpenAI]) -> OpenAI:
    return connect([])


def vectors(response: CreateEmbeddingResponse) -> NDArray[np.float64]:
    return np.array([item.embedding for item in response.data])


def test_vectors_are_unit_length_and_the_same_each_time(client: OpenAI) -> None:
    request = {"model": "text-embedding-3-small", "input": ["likes Python", "🗼", "likes Python"]}
    first, again = (vectors(client.embeddings.create(**request)) for _ in range(2))
    assert first.shape == (3, 1536)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], first[2])


def test_texts_that_share_words_are_near(client: OpenAI) -> None:
    texts = ["Prefers Python for backend work", "Which backend work in python?", "The cat sleeps"]
    query, near, far = vectors(client.embeddings.create(model="text-embedding-3-small", input=texts))
    assert query @ near > 0.4
    assert abs(query @ far) < 0.2


def test_both_encodings_hold_the_same_numbers(client: OpenAI) -> None:
    request = {"model": "text-embedding-3-small", "input": "likes Python"}
    as_floats = vectors(client.embeddings.create(**request, encoding_format="float"))
    decoded = vectors(client.embeddings.create(**request))
    np.testing.assert_allclose(as_floats, decoded, rtol=1e-6)


def test_the_length_is_the_models_or_the_one_asked_for(client: OpenAI) -> None:
    large = client.embeddings.create(model="text-embedding-3-large", input="likes Python")
    short = client.embeddings.create(model="text-embedding-3-large", input="likes Python", dimensions=64)
    assert vectors(large).shape == (1, 3072)
    assert vectors(short).shape == (1, 64)
    assert large.usage.prompt_tokens == 2


def test_tokens_are_taken_for_text(client: OpenAI) -> None:
    one = client.embeddings.create(model="text-embedding-3-small", input=[1, 2, 3])
    two = client.embeddings.create(model="text-embedding-3-small", input=[[1, 2], [3]])
    assert (len(one.data), len(two.data)) == (1, 2)


@pytest.mark.parametrize("wrong", [[], "", [""], {"text": "likes Python"}, ["likes Python", None]])
def test_input_that_the_real_api_refuses_is_refused(client: OpenAI, wrong: object) -> None:
    with pytest.raises(BadRequestError, match="input"):
        client.embeddings.create(model="text-embedding-3-small", input=wrong)


def test_models_are_listed_and_found(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert "gpt-4o" in names
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
