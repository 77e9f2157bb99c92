"""Vectors in 8 bits: cosines stay what they were, as far as ranking can tell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.memory.quantisation import QuantisedVectors
from headroom.memory.ranking import Floats


def units(rng: np.random.Generator, count: int, dimension: int) -> Floats:
    vectors = rng.standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 8, 384, 1_536]))
def test_cosines_are_off_by_less_than_a_hundredth(seed: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, query = units(rng, 50, dimension), units(rng, 1, dimension)[0]
    vectors[7] = query

    found = QuantisedVectors.of(vectors).cosines(query)

    assert found == pytest.approx(vectors @ query, abs=0.01)
    assert found.argmax() == 7 or dimension == 1


def test_with_384_dimensions_they_are_off_by_less_than_three_thousandths() -> None:
    rng = np.random.default_rng(0)
    vectors, query = units(rng, 20_000, 384), units(rng, 1, 384)[0]

    error = np.abs(QuantisedVectors.of(vectors).cosines(query) - vectors @ query)

    assert np.median(error) < 0.0005
    assert error.max() < 0.003


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_one_number_that_outweighs_all_others_does_no_harm(seed: int, others: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = others * units(rng, 20, 384)
    vectors[:, 5] += 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    found = QuantisedVectors.of(vectors).cosines(vectors[0])

    assert found == pytest.approx(vectors @ vectors[0], abs=0.01)


def test_a_vector_of_zeros_is_like_nothing() -> None:
    vectors = np.zeros((2, 4), np.float32)
    vectors[1, 0] = 1

    quantised = QuantisedVectors.of(vectors)

    assert quantised.cosines(vectors[1]).tolist() == [0, 1]
    assert quantised.cosines(vectors[0]).tolist() == [0, 0]


def test_of_no_vectors_there_are_no_cosines() -> None:
    nothing = QuantisedVectors.of(np.empty((0, 0), np.float32))

    assert nothing.cosines(np.ones(4, np.float32)).tolist() == []
    assert len(nothing) == 0


def test_chosen_rows_have_the_cosines_that_they_have_among_all() -> None:
    rng = np.random.default_rng(3)
    quantised, query = QuantisedVectors.of(units(rng, 100, 48)), units(rng, 1, 48)[0]
    rows = np.array([99, 0, 7])

    assert quantised[rows].cosines(query).tolist() == quantised.cosines(query)[rows].tolist()


def test_it_takes_a_quarter_of_the_room() -> None:
    vectors = units(np.random.default_rng(1), 100, 384)
    quantised = QuantisedVectors.of(vectors)

    assert quantised.codes.nbytes + quantised.steps.nbytes < 0.26 * vectors.nbytes
    assert quantised.dimension == 384


def test_what_was_restored_has_the_same_codes_again() -> None:
    quantised = QuantisedVectors.of(units(np.random.default_rng(2), 500, 384))

    assert (QuantisedVectors.of(quantised.restored()).codes == quantised.codes).all()
