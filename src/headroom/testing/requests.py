"""A request as the scripted server received it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_SECRET_HEADERS: Final = frozenset({"authorization", "api-key", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request to the scripted server."""

    path: str
    """For example "/v1/chat/completions"."""
    body: Mapping[str, Any]
    """The JSON body; empty for a GET."""
    headers: Mapping[str, str]
    """By lower-case name. Credentials are replaced by "<hidden>": logs of requests end up in test reports."""
    query: Mapping[str, str]
    """The parameters after the question mark, such as Azure's `api-version`."""
    method: str = "POST"

    @property
    def user_text(self) -> str:
        """The text of the last user message, its text parts joined; "" if there is none."""
        return next((text for role, text in reversed(list(self._messages())) if role == "user"), "")

    @property
    def system_text(self) -> str:
        """The text of the system and developer messages, or the `instructions`; "" if there are none."""
        texts = [text for role, text in self._messages() if role in {"system", "developer"}]
        return "\n".join(filter(None, [self.body.get("instructions"), *texts]))

    @property
    def prompt_text(self) -> str:
        """The text of all messages and instructions together."""
        return "\n".join(
            filter(None, [self.body.get("instructions"), *(text for _, text in self._messages())])
        )

    def _messages(self) -> Iterator[tuple[str, str]]:
        items = self.body.get("messages", self.body.get("input", ()))
        if isinstance(items, str):
            yield "user", items
            return
        for item in items:
            if isinstance(item, Mapping) and "role" in item:
                yield item["role"], _text(item.get("content"))


def hide_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with the values of credentials hidden."""
    return {name: "<hidden>" if name in _SECRET_HEADERS else value for name, value in headers.items()}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if isinstance(part, Mapping) and "text" in part)
