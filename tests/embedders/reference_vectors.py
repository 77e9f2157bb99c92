"""Sentences and their recorded vectors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIRECTORY = Path(__file__).parent / "reference"


@dataclass(frozen=True)
class Reference:
    """Sentences, and their vectors as two models gave them.

    `official` is from sentence-transformers 6.2 with the official float32 weights (test_official_model.py
    makes them anew), `bundled` from the model in the package.
    """

    sentences: list[str]
    official: NDArray[np.float32]
    bundled: NDArray[np.float32]
