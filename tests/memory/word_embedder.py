"""An embedder that is fast and whose meanings are plain."""

from zlib import crc32

import numpy as np
from numpy.typing import NDArray


class WordEmbedder:
    """Texts that share words are close: each word is a random direction of its own."""

    def __init__(self, name: str = "words", dimension: int = 64) -> None:
        self.name = name
        self.dimension = dimension

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        return np.array([self._vector(text) for text in texts], dtype=np.float32).reshape(-1, self.dimension)

    def _vector(self, text: str) -> NDArray[np.float64]:
        words = text.lower().split() or [""]
        directions = [
            np.random.default_rng(crc32(f"{self.name} {word}".encode("utf-8", "replace"))).normal(
                size=self.dimension
            )
            for word in words
        ]
        vector: NDArray[np.float64] = np.sum(directions, axis=0)
        return vector / np.linalg.norm(vector)
