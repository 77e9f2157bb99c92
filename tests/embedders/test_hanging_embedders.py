"""An embedder that hangs holds nobody up for longer than they can wait."""

import time
from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from headroom.errors import EmbedderUnavailableError
from headroom.memory import patience
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import create_embedder


class Hanging:
    """Hangs at one text until it is let go."""

    name = "hanging"
    dimension = 1
    batch_size = 1
    concurrency = 3

    def __init__(self) -> None:
        self.go_on = Event()
        self.asked: list[str] = []

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        self.asked += texts
        if "hang" in texts:
            assert self.go_on.wait(30)
        return np.ones((len(texts), 1), np.float32)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    hanging = Hanging()
    yield hanging
    hanging.go_on.set()


@pytest.mark.parametrize("place", [0, 1, 2, 49])
def test_many_texts_are_given_up_together_wherever_it_hangs(hanging: Hanging, place: int) -> None:
    embeddings = create_embedder(MemoryConfig(embedder=hanging))
    texts = [str(number) for number in range(50)]
    texts[place] = "hang"
    begun = time.monotonic()

    with patience.lasting(0.2), pytest.raises(EmbedderUnavailableError, match="takes longer than"):
        embeddings.embed(texts)

    assert time.monotonic() - begun < 10
    assert embeddings.embed(["later"]).shape == (1, 1)
