"""What an embedder returns is checked before anything is made of it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headroom.errors import EmbedderError, EmbedderMismatchError, EmbedderUnavailableError
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import Embeddings, create_embedder


class Returning:
    """An embedder that returns, or raises, what it was given."""

    name = "returning"
    dimension = 3

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def embed(self, texts: list[str]) -> Any:  # noqa: ARG002
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def returning(answer: Any) -> Embeddings:
    return create_embedder(MemoryConfig(embedder=Returning(answer)))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "vectors",
        [["a", "b", "c"], ["d", "e", "f"]],
        [[1, 2, 3]],
        [1, 2, 3],
        [[1, 2, 3], [1, 2]],
        [[], []],
        [[[1, 2, 3]], [[1, 2, 3]]],
        [[1, 2, None], [1, 2, 3]],
        [[1, 2, float("nan")], [1, 2, 3]],
        [[1, 2, float("inf")], [1, 2, 3]],
        [[1e300, 0, 0], [1, 2, 3]],
    ],
)
def test_anything_but_one_finite_vector_per_text_is_an_error(answer: Any) -> None:
    with pytest.raises(EmbedderError, match="returning"):
        returning(answer).embed(["one", "two"])


def test_another_dimension_is_an_error_that_names_both() -> None:
    with pytest.raises(EmbedderMismatchError, match="vectors of 2 numbers where 3 were expected"):
        returning([[1, 2]]).embed(["one"])


def test_a_vector_of_zeros_stays_one() -> None:
    assert returning([[0, 0, 0]]).embed(["one"]).tolist() == [[0, 0, 0]]


@given(arrays(np.float64, (4, 3), elements=st.floats(-1e15, 1e15).filter(lambda x: x == 0 or abs(x) > 1e-15)))
def test_rows_have_length_one_and_keep_their_direction(given_rows: Any) -> None:
    rows = returning(given_rows).embed(["a", "b", "c", "d"])
    assert rows.dtype == np.float32
    lengths = np.linalg.norm(given_rows, axis=1)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), lengths > 0, atol=1e-5)
    np.testing.assert_allclose((rows * given_rows).sum(axis=1), lengths, rtol=1e-4)


def test_what_the_embedder_returned_is_left_as_it_was() -> None:
    answer = np.array([[3, 4, 0]], np.float32)
    returning(answer).embed(["one"])
    assert answer.tolist() == [[3, 4, 0]]


def test_no_texts_are_no_rows() -> None:
    assert returning(None).embed([]).shape == (0, 3)


def test_what_an_embedder_raises_is_an_embedder_error_that_tells_no_text() -> None:
    with pytest.raises(EmbedderError, match=r"^the embedder returning failed with KeyError$") as caught:
        returning(KeyError("my secret")).embed(["my secret"])
    assert isinstance(caught.value.__cause__, KeyError)


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(EmbedderUnavailableError, match="plug it in"):
        returning(EmbedderUnavailableError("plug it in")).embed(["one"])


def test_an_interruption_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        returning(KeyboardInterrupt()).embed(["one"])
