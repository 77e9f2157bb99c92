"""The embeddings API, as the server speaks it: unit vectors in which texts that share words are near."""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headroom.testing import tokens
from headroom.testing.errors import BadRequestError

_DIMENSIONS: Final = {"text-embedding-3-large": 3072}
_USUAL_DIMENSION: Final = 1536


def embed(text: str, dimension: int = _USUAL_DIMENSION) -> NDArray[np.float32]:
    """The unit vector of a text, shape (dimension,): the sum of a random direction for each of its words.

    The same on every machine. The cosine of two texts grows with the share of words that they have in common.
    """
    words = re.findall(r"\w+", text.lower()) or [text]
    total = np.sum([_direction(word, dimension) for word in words], axis=0)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def embeddings_response(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request to `embeddings`.

    Raises:
        BadRequestError: the input is not text, tokens, or a list of one of these.
    """
    texts = _texts(body["input"])
    dimension = body.get("dimensions") or _DIMENSIONS.get(body["model"], _USUAL_DIMENSION)
    vectors = [embed(text, dimension) for text in texts]
    encode = _base64 if body.get("encoding_format") == "base64" else _floats
    used = sum(map(tokens.count, texts))
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(vectors)
        ],
        "model": body["model"],
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


@lru_cache(maxsize=10_000)
def _direction(word: str, dimension: int) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
    return np.random.default_rng(seed).standard_normal(dimension)


def _texts(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if isinstance(given, list):
        if all(isinstance(item, int) for item in given):
            return [str(given)]
        if all(isinstance(item, str | list) and item for item in given):
            return [str(item) for item in given]
    raise BadRequestError("'$.input' is invalid: a text or a list of non-empty texts is needed.", "input")


def _base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _floats(vector: NDArray[np.float32]) -> list[float]:
    return [float(value) for value in vector]
