"""The bundled int8 model means what the official one means (as recorded; see test_official_model.py)."""

import numpy as np
import pytest
from numpy.typing import NDArray
from reference_vectors import Reference

from headroom.memory.embedders import Embeddings


@pytest.fixture(scope="module")
def vectors(bundled: Embeddings, reference: Reference) -> NDArray[np.float32]:
    return bundled.embed(reference.sentences)


def similarities(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each sentence to each other one."""
    pairs = vectors @ vectors.T
    count = len(vectors)
    return pairs[~np.eye(count, dtype=bool)].reshape(count, count - 1)


def test_vectors_point_where_the_official_ones_point(
    vectors: NDArray[np.float32], reference: Reference
) -> None:
    cosines = (vectors * reference.official).sum(axis=1)
    assert cosines.mean() > 0.985  # measured: 0.9915
    assert cosines.min() > 0.95  # measured: 0.959, for "Thanks!"; 0.976 for the next


def test_similarities_are_nearly_the_same(vectors: NDArray[np.float32], reference: Reference) -> None:
    differences = np.abs(similarities(vectors) - similarities(reference.official))
    assert differences.mean() < 0.015  # measured: 0.0093
    assert differences.max() < 0.08  # measured: 0.058


def test_neighbours_are_mostly_the_same(vectors: NDArray[np.float32], reference: Reference) -> None:
    ours, official = ((-similarities(each)).argsort(axis=1)[:, :5] for each in (vectors, reference.official))
    shared = [len({*ours[row]} & {*official[row]}) / 5 for row in range(len(ours))]
    assert np.mean(shared) > 0.85  # measured: 0.90


def test_ranks_are_mostly_kept(vectors: NDArray[np.float32], reference: Reference) -> None:
    ours, official = (
        similarities(each).argsort(axis=1).argsort(axis=1) for each in (vectors, reference.official)
    )
    correlations = [np.corrcoef(ours[row], official[row])[0, 1] for row in range(len(ours))]
    assert np.mean(correlations) > 0.97  # measured: 0.982


def test_vectors_are_those_that_databases_hold_under_this_name(
    vectors: NDArray[np.float32], reference: Reference
) -> None:
    # If a rebuilt model fails here, its NAME must change: databases hold vectors of the old one.
    cosines = (vectors * reference.bundled).sum(axis=1)
    assert cosines.min() > 0.999  # on a CPU with AVX2 and without VNNI: 0.99999


def test_questions_find_their_answers(bundled: Embeddings) -> None:
    facts = ["Prefers Python for backend work", "Their dog is called Pixel", "Works in Lisbon"]
    questions = ["What language should I use?", "What is the name of my pet?", "Where is my office?"]
    scores = bundled.embed(questions) @ bundled.embed(facts).T
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]
