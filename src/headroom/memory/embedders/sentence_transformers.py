"""Any other local model, through sentence-transformers and torch (extra: sentence-transformers)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from headroom.errors import EmbedderUnavailableError
from headroom.memory.embedders.base import Backend, require

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_MODEL_FILES: Final = {".safetensors", ".bin", ".json", ".txt", ".model"}


class SentenceTransformersEmbedder(Backend["_Model"]):
    """A sentence-transformers model, from a directory or, by its name, from the Hugging Face hub.

    Args:
        model: A path to a directory, or a name on the hub. Only for a name is the network used.
        dimension: How many numbers its vectors have; None to find out.

    Raises:
        MissingDependencyError: sentence-transformers is not installed.
        EmbedderUnavailableError: There is no such directory.
    """

    concurrency = 1  # torch uses all cores for one batch
    batch_size = 32

    def __init__(self, model: str, dimension: int | None = None) -> None:
        require("sentence-transformers", "sentence-transformers")
        self._born_in = os.getpid()
        path = Path(model).expanduser()
        if path.is_dir():
            # Two directories of one name may hold two models, and one model may move.
            super().__init__(f"sentence-transformers:{path.resolve().name}@{_fingerprint(path)}", dimension)
            self._source = str(path)
            return
        if path.is_absolute() or model.startswith((".", "~")):
            raise EmbedderUnavailableError(f"there is no directory {model}, which embedder_model names")
        super().__init__(f"sentence-transformers:{model}", dimension)
        self._source = model

    def _open(self) -> _Model:
        import torch  # noqa: PLC0415 - takes seconds
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes seconds

        if os.getpid() != self._born_in:
            # The parent's OpenMP threads do not survive a fork, and torch would wait for them for ever.
            torch.set_num_threads(1)
        try:
            return _Model(SentenceTransformer(self._source))
        except (OSError, ValueError) as error:
            raise EmbedderUnavailableError(
                f"the model {self._source} could not be loaded: it must be a sentence-transformers model, "
                "as a directory or as a name on the Hugging Face hub, which must then be reachable"
            ) from error

    def _vectors(self, resource: _Model, texts: list[str]) -> Any:
        return resource.embed(texts)


class _Model:
    """The model behind a lock: its tokenizer sets itself up for each call, and two at once fail."""

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model
        self._lock = Lock()

    def embed(self, texts: list[str]) -> Any:
        with self._lock:
            return self._model.encode(texts, show_progress_bar=False)


def _fingerprint(directory: Path) -> str:
    """What tells the models in two directories apart: a digest of weights, vocabulary and settings."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.suffix in _MODEL_FILES and path.is_file():
            digest.update(str(path.relative_to(directory)).encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
