"""The OpenAI embeddings API, or any server that speaks it (extra: openai)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from headroom.errors import ConfigurationError, EmbedderError, EmbedderUnavailableError
from headroom.memory.embedders.base import Backend, require

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

_DIMENSIONS: Final = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}


class OpenAIEmbedder(Backend["OpenAI"]):
    """A model behind the OpenAI embeddings API. The SDK tries again, with growing pauses, what may pass.

    Args:
        model: The model's name.
        api_key: None takes OPENAI_API_KEY from the environment.
        base_url: None takes OPENAI_BASE_URL from the environment, or OpenAI's own address.
        dimension: How many numbers its vectors have. The text-embedding-3 models are asked for as many.
        timeout: Seconds that one attempt may take.

    Raises:
        MissingDependencyError: openai is not installed.
        ConfigurationError: There is no API key.
    """

    concurrency = 8  # it waits for the network
    batch_size = 32  # of the longest input, 8,192 tokens: fewer than the 300,000 that one request may have

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        dimension: int | None = None,
        timeout: float = 30.0,
    ) -> None:
        require("openai", "openai")
        self._api_key = api_key or os.environ.get("OPENAI_API_KEY")
        if not self._api_key:
            raise ConfigurationError(
                "the OpenAI embedder has no API key: set openai_api_key in MemoryConfig, or OPENAI_API_KEY "
                "in the environment (for a server that asks for none, any text will do)"
            )
        self._base_url = base_url
        self._model = model
        self._timeout = timeout
        self._shortened_to = dimension if model.startswith("text-embedding-3") else None
        super().__init__(f"openai:{model}", dimension or _DIMENSIONS.get(model))

    def _open(self) -> OpenAI:
        from openai import OpenAI  # noqa: PLC0415 - half a second

        return OpenAI(api_key=self._api_key, base_url=self._base_url, timeout=self._timeout)

    def _release(self, resource: OpenAI) -> None:
        resource.close()

    def _vectors(self, resource: OpenAI, texts: list[str]) -> Any:
        import openai  # noqa: PLC0415 - it was imported by _open

        try:
            answer = resource.embeddings.create(
                model=self._model, input=texts, dimensions=self._shortened_to or openai.omit
            )
            return [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        except openai.APITimeoutError:
            raise EmbedderUnavailableError(
                f"{resource.base_url} did not answer within {self._timeout:g} s; see embedder_timeout"
            ) from None
        except openai.APIConnectionError as error:
            raise EmbedderUnavailableError(
                f"{resource.base_url} cannot be reached; check openai_base_url and the network"
            ) from error
        except openai.APIStatusError as error:
            # What the server says may quote the texts.
            raise self._explained(error, resource) from None
        except (openai.OpenAIError, AttributeError, TypeError, ValueError):
            raise EmbedderError(f"{resource.base_url} did not answer as an embeddings API does") from None

    def _explained(self, error: APIStatusError, client: OpenAI) -> EmbedderError:
        where = f"{client.base_url} answered {error.status_code}"
        match error.status_code:
            case 401 | 403:
                return EmbedderError(
                    f"{where}: it refuses the API key for {self._model}; check openai_api_key"
                )
            case 404:
                return EmbedderUnavailableError(
                    f"{where}: it does not know the model {self._model}; "
                    "check embedder_model and openai_base_url"
                )
            case status if status == 429 or status >= 500:  # noqa: PLR2004 - HTTP's
                return EmbedderUnavailableError(
                    f"{where} to {client.max_retries + 1} attempts: it is overloaded or out of order, "
                    "or your quota is used up"
                )
            case _:
                return EmbedderError(
                    f"{where}: it rejects the request ({error.code or type(error).__name__})"
                )
