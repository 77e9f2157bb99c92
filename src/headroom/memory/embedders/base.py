"""What the built-in embedders have in common, and what is made of the vectors that any of them returns."""

import math
from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from headroom.errors import EmbedderError, EmbedderMismatchError, MissingDependencyError
from headroom.memory.per_process import PerProcess

Vectors = NDArray[np.float32]
"""One row per text, shape (n, d)."""

Vector = NDArray[np.float32]
"""Shape (d,)."""

Resource = TypeVar("Resource")


class Backend(ABC, Generic[Resource]):
    """A built-in embedder: a model or a client that each process opens for itself, at its first use.

    Args:
        name: The identity of the model.
        dimension: How many numbers a vector has; None where only the first answer tells.
    """

    concurrency: ClassVar[int]
    """How many calls may run at once."""
    batch_size: ClassVar[int]
    """How many texts one call may get."""
    may_hang: ClassVar[bool] = True
    """Whether a call may take seconds; a guard against that costs half a millisecond."""

    def __init__(self, name: str, dimension: int | None) -> None:
        self.name = name
        self.dimension = dimension
        self._resource = PerProcess(self._open)

    def embed(self, texts: list[str], /) -> Any:
        """One vector per text, in whatever form the model or service gives it."""
        return self._vectors(self._resource.get(), texts)

    def close(self) -> None:
        """Let go of the model or connection."""
        resource = self._resource.take()
        if resource is not None:
            self._release(resource)

    @abstractmethod
    def _open(self) -> Resource:
        """Load the model, or make the client."""

    def _release(self, resource: Resource) -> None:
        """Close what `_open` made, where dropping it is not enough."""

    @abstractmethod
    def _vectors(self, resource: Resource, texts: list[str]) -> Any:
        """One vector per text."""


@np.errstate(over="ignore")  # what is too large becomes infinite, and is refused
def unit_rows(vectors: Any, count: int, dimension: int | None, name: str) -> Vectors:
    """What an embedder returned, as rows of length one; a vector of zeros stays one.

    Args:
        vectors: What the embedder returned.
        count: How many texts it was given, at least one.
        dimension: How many numbers each vector must have; None for any.
        name: The embedder's name, for the messages.

    Raises:
        EmbedderError: It is not one vector of finite numbers per text.
        EmbedderMismatchError: The vectors are of another dimension.
    """
    try:
        rows: Vectors = np.array(vectors, dtype=np.float32)
    except (TypeError, ValueError):
        raise EmbedderError(f"{name} did not return one vector of numbers for each text") from None
    if rows.ndim != 2 or len(rows) != count or rows.size == 0:  # noqa: PLR2004 - rows and columns
        raise EmbedderError(
            f"{name} returned an array of shape {rows.shape} for {count} texts, not one row for each"
        )
    given = rows.shape[1]
    if dimension is not None and given != dimension:
        raise EmbedderMismatchError(
            f"{name} returned vectors of {given} numbers where {dimension} were expected; "
            f"set vector_dimension={given} if this is the model you mean"
        )
    for row in rows:
        length = math.sqrt(row @ row)
        if not length < math.inf:  # nor is NaN
            raise EmbedderError(f"{name} returned numbers that are not finite")
        if length:
            np.divide(row, length, out=row)
    return rows


def require(package: str, extra: str) -> None:
    """Check that an optional package is installed, without importing it.

    Raises:
        MissingDependencyError: It is not; the message has the command that installs it.
    """
    if find_spec(package.replace("-", "_")) is None:
        raise MissingDependencyError(package, extra)
