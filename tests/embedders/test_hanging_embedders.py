"""An embedder that hangs holds nobody up for longer than they can wait."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from headroom.errors import EmbedderUnavailableError, OverloadedError
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
        self.begun = Event()
        self.go_on = Event()
        self.asked: list[str] = []

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        self.asked += texts
        self.begun.set()
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


def test_who_can_wait_longer_than_the_first_to_ask_waits_longer(hanging: Hanging) -> None:
    embeddings = create_embedder(MemoryConfig(embedder=hanging))

    def ask(seconds: float) -> NDArray[np.float32]:
        with patience.lasting(seconds):
            return embeddings.embed_query("hang")

    with ThreadPoolExecutor() as threads:
        hasty = threads.submit(ask, 0.2)
        assert hanging.begun.wait(30)
        patient = [threads.submit(ask, 60) for _ in range(2)]
        with pytest.raises(EmbedderUnavailableError, match="takes longer than"):
            hasty.result(30)
        hanging.go_on.set()
        assert [answer.result(30).tolist() for answer in patient] == [[1.0], [1.0]]

    assert hanging.asked == ["hang", "hang"]


def test_who_waits_for_one_that_is_sent_away_asks_for_itself(hanging: Hanging) -> None:
    hanging.concurrency = 1
    embeddings = create_embedder(MemoryConfig(embedder=hanging, max_pending=1))

    def ask(seconds: float) -> NDArray[np.float32]:
        with patience.lasting(seconds):
            return embeddings.embed_query("tea")

    with ThreadPoolExecutor() as threads:
        working = threads.submit(embeddings.embed, ["hang"])
        assert hanging.begun.wait(30)
        hasty = threads.submit(ask, 0.2)
        while not embeddings._gate.get()._waiting:
            time.sleep(0.001)
        patient = threads.submit(ask, 60)
        with pytest.raises(OverloadedError):
            hasty.result(30)
        hanging.go_on.set()
        assert patient.result(30).tolist() == [1.0]
        assert working.result(30).shape == (1, 1)
