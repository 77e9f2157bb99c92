"""The default embedder: all-MiniLM-L6-v2, which ships with the package, on onnxruntime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from headroom.memory.config import BUNDLED_DIMENSION
from headroom.memory.cores import available_cores
from headroom.memory.embedders.base import Backend

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

    from headroom.memory.embedders.base import Vector

MODEL: Final = Path(__file__).parent / "models" / "all-MiniLM-L6-v2"
NAME: Final = "all-MiniLM-L6-v2-int8"
"""Changes whenever a rebuilt model gives other vectors (see PROVENANCE.md beside it)."""

_TOKENS: Final = 256
"""What the model was trained to read; the rest of a text is left out, as sentence-transformers does."""

_CHARACTERS: Final = 10_000
"""More than 256 tokens of any ordinary text; the tokenizer, which reads a text whole, is spared the rest."""


class BundledEmbedder(Backend["_Model"]):
    """all-MiniLM-L6-v2 as int8: 384 dimensions, about 1.2 ms per sentence and core, without network or torch.

    A text's vector does not depend on what it is embedded together with.
    """

    # One more than can run, or a core stands idle until the next thread has woken up. With two more, that is
    # spent on taking turns at Python: 570 recalls a second of 64 callers on two cores, in place of 660.
    concurrency = available_cores() + 1
    batch_size = 16
    may_hang = False

    def __init__(self) -> None:
        super().__init__(NAME, BUNDLED_DIMENSION)

    def _open(self) -> _Model:
        return _Model()

    def _vectors(self, resource: _Model, texts: list[str]) -> list[Vector]:
        return [resource.embed(text) for text in texts]


class _Model:
    def __init__(self) -> None:
        # Its Linux wheels report usage to their maker, on a thread that also keeps forked processes from
        # ending. (disable_telemetry_events() stops neither; a value that the application has set stays.)
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # noqa: PLC0415 - 0.15 s that only those pay who embed
        from tokenizers import Tokenizer  # noqa: PLC0415 - the same

        self._tokenizer: Tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_TOKENS)
        options = onnxruntime.SessionOptions()
        # One thread for each text, and several texts at once: with two cores 2.6 times the throughput of both
        # on one text at a time, and a sentence alone takes no longer.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: InferenceSession = onnxruntime.InferenceSession(
            MODEL / "model.onnx", options, providers=["CPUExecutionProvider"]
        )

    def embed(self, text: str) -> Vector:
        tokens = np.array(self._tokenizer.encode(text[:_CHARACTERS]).ids, np.int64)
        vector: Vector = self._session.run(None, {"input_ids": tokens})[0]
        return vector
