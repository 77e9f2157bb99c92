"""What an embedder is, whoever made it."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Embedder(Protocol):
    """Turns texts into vectors that are close where the meanings are.

    Any object of this shape may be given as `MemoryConfig(embedder=…)`. It is called from several threads at
    once. It may also have `concurrency`, how many calls may run at once (otherwise as many as there are
    cores), and `batch_size`, how many texts one call may get (otherwise 32).
    """

    @property
    def name(self) -> str:
        """The identity of the model, recorded in the database: only vectors of one name are compared."""

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""

    def embed(self, texts: list[str], /) -> "ArrayLike":
        """One row per text, shape (n, dimension); their lengths do not matter, they are compared by angle."""
