"""The one face through which the engine embeds: orderly, checked and cached, whatever the embedder."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any, Final

import numpy as np

from headroom.errors import EmbedderError, EmbedderUnavailableError, HeadroomError
from headroom.memory import patience
from headroom.memory.cores import available_cores
from headroom.memory.embedder import Embedder
from headroom.memory.embedders.base import Backend, Vector, Vectors, unit_rows
from headroom.memory.embedders.query_cache import QueryCache
from headroom.memory.gate import Gate
from headroom.memory.per_process import PerProcess

_USUAL_BATCH: Final = 32


class Embeddings:
    """An embedder that any number of threads may call.

    Args:
        embedder: What makes the vectors.
        max_pending: How many calls may wait for it before more fail with OverloadedError.
        cached_queries: How many queries' vectors are kept; 0 for none.
    """

    def __init__(self, embedder: Embedder | Backend[Any], *, max_pending: int, cached_queries: int) -> None:
        self._embedder = embedder
        self._dimension = embedder.dimension
        self._batch_size = int(getattr(embedder, "batch_size", _USUAL_BATCH))
        self.concurrency = int(getattr(embedder, "concurrency", available_cores()))
        """How many calls are at work at once; the others wait."""
        self._may_hang = bool(getattr(embedder, "may_hang", True))
        self._gate = PerProcess(lambda: Gate(self.concurrency, max_pending, "the embedder"))
        self._queries = PerProcess(lambda: QueryCache(cached_queries)) if cached_queries else None

    @property
    def name(self) -> str:
        """The identity of the model."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """How many numbers a vector has. A model that does not tell is made to embed a word.

        Raises:
            HeadroomError: As for `embed`.
        """
        if self._dimension is None:
            return int(self.embed(["dimension"]).shape[1])
        return self._dimension

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length one per text, shape (n, dimension).

        Many texts are embedded in batches, several at a time, between which others get their turn.

        Raises:
            EmbedderError: The embedder failed; EmbedderUnavailableError where it could not be reached, or not
                within the caller's patience.
            EmbedderMismatchError: The vectors are not of the expected dimension.
            OverloadedError: Too many are waiting for it already.
        """
        batches = [list(texts[i : i + self._batch_size]) for i in range(0, len(texts), self._batch_size)]
        if not batches:
            return np.empty((0, self.dimension), np.float32)
        first = self._embed_in_turn(batches[0])
        if len(batches) == 1:
            return first

        def embed(context: Context, batch: list[str]) -> Vectors:
            return context.run(self._embed_in_turn, batch, returning=True)

        # The caller's patience is in its context, which cannot be in two threads at once.
        contexts = [copy_context() for _ in batches[1:]]
        # One place stays free, for who asks for little meanwhile.
        with ThreadPoolExecutor(max(1, self.concurrency - 1), "headroom-embed") as threads:
            return np.concatenate([first, *threads.map(embed, contexts, batches[1:])])

    def embed_query(self, query: str) -> Vector:
        """The vector of one query, shape (dimension,), read-only; from the cache if it was asked for lately.

        Raises:
            HeadroomError: As for `embed`.
        """
        if self._queries is None:
            return self._embed_one(query)
        return self._queries.get().get(query, self._embed_one)

    def embed_queries(self, queries: tuple[str, ...]) -> Vectors:
        """The vectors of queries that belong together, in one call of the embedder; else as `embed_query`."""
        if len(queries) == 1:
            return self.embed_query(queries[0])[np.newaxis]
        if self._queries is None:
            return self.embed(queries)
        return self._queries.get().get(queries, self.embed)

    def close(self) -> None:
        """Let go of connections. An embedder of the caller's own is left alone: it may serve others."""
        if isinstance(self._embedder, Backend):
            self._embedder.close()

    def _embed_one(self, text: str) -> Vector:
        vector: Vector = self.embed([text])[0]
        return vector

    def _embed_in_turn(self, texts: list[str], *, returning: bool = False) -> Vectors:
        gate = self._gate.get()
        gate.enter(returning=returning)

        def embed() -> Vectors:
            try:
                return self._embed_batch([_encodable(text) for text in texts])
            finally:
                gate.leave()  # only now: who is not waited for is at work all the same

        try:
            return patience.bounded(embed) if self._may_hang else embed()
        except TimeoutError:
            raise EmbedderUnavailableError(
                f"the embedder {self.name} takes longer than a call can wait; it was left to itself"
            ) from None

    def _embed_batch(self, texts: list[str]) -> Vectors:
        try:
            vectors = self._embedder.embed(texts)
        except HeadroomError:
            raise
        except Exception as error:
            raise EmbedderError(f"the embedder {self.name} failed with {type(error).__name__}") from error
        rows = unit_rows(vectors, len(texts), self._dimension, self.name)
        self._dimension = rows.shape[1]
        return rows


def _encodable(text: str) -> str:
    """`text` without lone surrogates, which no tokenizer and no wire takes."""
    return text.encode("utf-8", "replace").decode("utf-8")
