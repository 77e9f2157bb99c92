"""One text has one vector: alone or among others, in any thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_vectors import Reference

from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import Embeddings, create_embedder


def test_company_does_not_change_a_vector(bundled: Embeddings, reference: Reference) -> None:
    together = bundled.embed(reference.sentences)
    alone = np.concatenate([bundled.embed([sentence]) for sentence in reference.sentences])
    assert (together == alone).all()


def test_threads_do_not_change_a_vector(bundled: Embeddings, reference: Reference) -> None:
    expected = bundled.embed(reference.sentences)
    with ThreadPoolExecutor(16) as threads:
        for vectors in threads.map(lambda _: bundled.embed(reference.sentences), range(16)):
            assert (vectors == expected).all()


def test_two_instances_agree(bundled: Embeddings, reference: Reference) -> None:
    other = create_embedder(MemoryConfig())
    assert (other.embed(reference.sentences[:8]) == bundled.embed(reference.sentences[:8])).all()


def test_a_model_loaded_by_many_threads_at_once_is_loaded_once(bundled: Embeddings) -> None:
    other = create_embedder(MemoryConfig())
    with ThreadPoolExecutor(8) as threads:
        vectors = list(threads.map(lambda _: other.embed(["at once"]), range(8)))
    assert all((each == bundled.embed(["at once"])).all() for each in vectors)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=400))
def test_any_text_has_a_vector_of_length_one(bundled: Embeddings, text: str) -> None:
    vector = bundled.embed([text])
    assert vector.shape == (1, 384)
    assert vector.dtype == np.float32
    assert abs(np.linalg.norm(vector) - 1) < 1e-5


def test_half_a_surrogate_pair_is_embedded_like_any_other_text(bundled: Embeddings) -> None:
    assert bundled.embed(["half \ud83d of a pair"]).shape == (1, 384)


def test_only_the_first_256_tokens_are_read(bundled: Embeddings) -> None:
    start = "word " * 254  # and the two that every text is framed by
    assert (bundled.embed([start]) == bundled.embed([start + "elephants"])).all()
    assert (bundled.embed([start[5:]]) != bundled.embed([start[5:] + "elephants"])).any()


def test_a_text_of_megabytes_is_not_read_whole(bundled: Embeddings) -> None:
    start = "all work and no play makes a dull boy " * 300
    assert (bundled.embed([start]) == bundled.embed([start + "x" * 5_000_000])).all()
