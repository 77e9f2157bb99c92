"""What both APIs' requests and answers share: the user's last message, and texts with blocks in them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from headroom.clients.logprobs import TokenFilter
from headroom.clients.shapes import Json, get, given, last_user_message, put, text_of
from headroom.prompting.block_filter import BlockFilter
from headroom.prompting.injection import Injection


@dataclass(frozen=True, slots=True)
class Turn:
    """The user's last message in a request."""

    text: str
    place: int
    """Of the message in the conversation."""
    continued: bool
    """Whether something follows it: tool calls and their results, in the further calls of an agent's loop."""


class Answer(ABC):
    """An answer on its way to the caller: takes the blocks out of its texts, in place, and keeps them."""

    @abstractmethod
    def whole(self, payload: Json) -> bool:
        """Clean an answer that came in one piece; return whether anything was changed."""

    @abstractmethod
    def event(self, payload: Json) -> list[Json] | None:
        """Clean one event of a stream and return what takes its place; None where it stays as it is."""

    @abstractmethod
    def end(self) -> list[Json]:
        """What is still to be delivered where a stream ends before its texts did."""

    @property
    @abstractmethod
    def blocks(self) -> Sequence[str]:
        """The blocks of the answer, once it has ended."""


class Request(ABC):
    """The parameters of one call."""

    path: ClassVar[str]
    """What the URL contains that such a request is sent to."""
    conversation: ClassVar[str]
    """The parameter with the messages."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters = parameters

    def materialise(self) -> None:
        """Read messages that can be read only once; what that raises is the caller's own."""
        messages = given(self.parameters, self.conversation)
        if isinstance(messages, Iterable) and not isinstance(messages, Mapping | Sequence):
            self.parameters = {**self.parameters, self.conversation: list(messages)}

    @cached_property
    def messages(self) -> list[Json]:
        """The messages; empty where they are in no form that an API takes."""
        messages = given(self.parameters, self.conversation)
        if isinstance(messages, Sequence) and not isinstance(messages, str | bytes):
            return list(messages)
        return []

    @property
    def turn(self) -> Turn | None:
        """The user's last message; None where there is none with text."""
        place = last_user_message(self.messages)
        if place is None or not (text := text_of(get(self.messages[place], "content"))).strip():
            return None
        return Turn(text, place, continued=place + 1 < len(self.messages))

    @property
    @abstractmethod
    def takes_notes(self) -> bool:
        """Whether the model may be asked for a block: its answer is text, of no prescribed form."""

    @abstractmethod
    def prepared(self, injection: Injection, *, instruct: bool) -> dict[str, Any]:
        """The parameters to call with; the given ones and all that is in them stay as they are."""

    @abstractmethod
    def answer(self) -> Answer:
        """A reader for the answer to the prepared request."""


class FilteredText:
    """One text of an answer without its blocks, whole or piece by piece, with its tokens if there are any."""

    def __init__(self) -> None:
        self._filter = BlockFilter()
        self._tokens: TokenFilter | None = None

    @property
    def blocks(self) -> list[str]:
        """The blocks so far."""
        return self._filter.blocks

    def feed(self, text: str, tokens: Sequence[Json] | None = None) -> tuple[str, list[Json]]:
        """Take the next piece of the text; return what can be shown now, and the tokens of that."""
        shown = self._filter.feed(text)
        if not tokens:
            return shown, []
        if self._tokens is None:
            self._tokens = TokenFilter(self._filter)
        return shown, self._tokens.feed(tokens)

    def finish(self, *, cut_off: bool = False) -> tuple[str, list[Json]]:
        """The rest of what is shown, and its tokens."""
        shown = self._filter.finish(cut_off=cut_off)
        return shown, [] if self._tokens is None else self._tokens.finish()


def clean(
    holder: Json, name: str, tokens: Json, tokens_name: str, *, cut_off: bool = False
) -> list[str] | None:
    """Take the blocks out of the whole text in this field; return them, or None where there is none."""
    text = get(holder, name)
    if not isinstance(text, str) or "<" not in text:
        return None
    filtered = FilteredText()
    its_tokens = get(tokens, tokens_name)
    shown, kept = filtered.feed(text, its_tokens)
    rest, more = filtered.finish(cut_off=cut_off)
    if shown + rest == text:
        return None
    put(holder, name, shown + rest)
    if its_tokens:
        put(tokens, tokens_name, kept + more)
    return filtered.blocks
