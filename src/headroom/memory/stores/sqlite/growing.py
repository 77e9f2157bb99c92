"""Arrays that grow at their end while others read them."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_SPARE: Final = 8


class GrowingArray:
    """An array with room at its end; a view taken before it grew or changed stays as it was.

    For one writer at a time, and any number of readers of the views.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self._length = 0
        self._buffer = np.empty((0, *values.shape[1:]), values.dtype)
        self.extend(values)

    @property
    def view(self) -> NDArray[Any]:
        """The values so far; not to be written to."""
        return self._buffer[: self._length]

    @property
    def nbytes(self) -> int:
        """How many bytes it takes, the room at the end included."""
        return self._buffer.nbytes

    def extend(self, values: NDArray[Any]) -> None:
        """Append values; the whole is copied only when the room is used up, and that is doubled each time."""
        length = self._length + len(values)
        if length > len(self._buffer):
            room = max(length + length // 8 + _SPARE, 2 * self._length)
            buffer = np.empty((room, *self._buffer.shape[1:]), self._buffer.dtype)
            buffer[: self._length] = self.view
            self._buffer = buffer
        self._buffer[self._length : length] = values
        self._length = length

    def replace(self, places: NDArray[np.intp], values: NDArray[Any]) -> None:
        """Change values in the middle, in a copy: who reads sees either all of the changes or none."""
        self._buffer = self._buffer.copy()
        self._buffer[places] = values
