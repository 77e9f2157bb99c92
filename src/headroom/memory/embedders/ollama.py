"""A local Ollama server (extra: ollama)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from headroom.errors import EmbedderError, EmbedderUnavailableError
from headroom.memory.embedders.base import Backend, require

if TYPE_CHECKING:
    from ollama import Client

_PAUSES: Final = (0.25, 0.5, 1.0)
"""Seconds before each further attempt."""


class OllamaEmbedder(Backend["Client"]):
    """A model of an Ollama server. What may pass is tried again, with growing pauses.

    Args:
        model: The model's name.
        base_url: Where the server is.
        dimension: How many numbers its vectors have; None to find out.
        timeout: Seconds that one attempt may take.

    Raises:
        MissingDependencyError: ollama is not installed.
    """

    concurrency = 4  # the server queues for itself; a few keep it busy
    batch_size = 32

    def __init__(
        self, model: str, *, base_url: str, dimension: int | None = None, timeout: float = 30.0
    ) -> None:
        require("ollama", "ollama")
        self._model = model
        self._base_url = base_url
        self._timeout = timeout
        super().__init__(f"ollama:{model}", dimension)

    def _open(self) -> Client:
        from ollama import Client  # noqa: PLC0415 - an optional dependency

        return Client(host=self._base_url, timeout=self._timeout)

    def _release(self, resource: Client) -> None:
        resource.close()  # type: ignore[no-untyped-call]  # ollama does not type it

    def _vectors(self, resource: Client, texts: list[str]) -> Any:
        for pause in _PAUSES:
            try:
                return self._attempt(resource, texts)
            except _PassingError:
                time.sleep(pause)
        try:
            return self._attempt(resource, texts)
        except _PassingError as error:
            raise EmbedderUnavailableError(
                f"Ollama at {self._base_url} {error} to {len(_PAUSES) + 1} attempts; look at its log"
            ) from None

    def _attempt(self, client: Client, texts: list[str]) -> Any:
        import httpx  # noqa: PLC0415 - a dependency of ollama
        from ollama import ResponseError  # noqa: PLC0415 - an optional dependency

        try:
            return client.embed(model=self._model, input=texts).embeddings
        except ConnectionError:
            raise EmbedderUnavailableError(
                f"no Ollama server answers at {self._base_url}; start it with: ollama serve"
            ) from None
        except httpx.TimeoutException:
            raise EmbedderUnavailableError(
                f"Ollama at {self._base_url} did not answer within {self._timeout:g} s; see embedder_timeout"
            ) from None
        except httpx.TransportError as error:
            raise _PassingError("broke the connection") from error
        except ResponseError as error:
            # What the server says may quote the texts.
            status = error.status_code
            if status == 404:  # noqa: PLR2004 - HTTP's
                raise EmbedderUnavailableError(
                    f"Ollama at {self._base_url} has no model {self._model}; "
                    f"get it with: ollama pull {self._model}"
                ) from None
            if status == 429 or status >= 500:  # noqa: PLR2004 - HTTP's
                raise _PassingError(f"answered {status}") from None
            raise EmbedderError(
                f"Ollama at {self._base_url} rejects the request: it answered {status}"
            ) from None
        except (AttributeError, TypeError, ValueError):
            raise EmbedderError(
                f"{self._base_url} did not answer as Ollama does; check ollama_base_url"
            ) from None


class _PassingError(Exception):
    """What may be over at the next attempt."""
