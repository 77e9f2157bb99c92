"""What the scripted server answers: texts, tool calls, refusals, failures, and the rule that picks one."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Literal, TypeAlias

from headroom.testing.requests import ReceivedRequest

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]

_ERROR_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a function that the model asks for."""

    name: str
    arguments: Mapping[str, Any] | str = "{}"
    """A mapping, or JSON text as it is."""
    id: str | None = None
    """None becomes an id derived from the request's."""

    @property
    def json(self) -> str:
        """The arguments as JSON text."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(dict(self.arguments))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the model. A stream delivers its text in pieces of a few characters, as models do."""

    text: str | None = None
    """None where there are only tool calls or a refusal."""
    _: KW_ONLY
    tool_calls: Sequence[ToolCall] = ()
    refusal: str | None = None
    reasoning: str | None = None
    """A reasoning item before the message (Responses API), or the field `reasoning` (chat completions)."""
    finish_reason: FinishReason | None = None
    """None becomes "tool_calls" where there are some, else "stop"."""
    chunks: Sequence[str] | None = None
    """The exact pieces in which a stream delivers the text; `text` is then what they make together."""
    delay: float = 0.0
    """Seconds before the answer begins."""
    chunk_delay: float = 0.0
    """Seconds before each further event of a stream."""
    cut_after: int | None = None
    """Break the connection after so many pieces of the stream; without a stream, before the first byte."""

    def __post_init__(self) -> None:
        if self.chunks is not None:
            whole = "".join(self.chunks)
            if self.text not in {None, whole}:
                raise ValueError("text and chunks differ: give one of the two")
            object.__setattr__(self, "text", whole)

    @property
    def finish(self) -> FinishReason:
        """Why the model stopped."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in place of an answer, in the API's own format."""

    status: int = 500
    """The HTTP status; the SDKs retry 408, 409, 429 and 5xx."""
    message: str = "a scripted failure"
    _: KW_ONLY
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: {"retry-after-ms": "1"})
    """By default a retry follows at once."""
    delay: float = 0.0

    @property
    def error_type(self) -> str:
        """What the API calls this kind of error."""
        usual = "server_error" if self.status >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP's classes
        return _ERROR_TYPES.get(self.status, usual)


Choice: TypeAlias = str | Answer
Reply: TypeAlias = Choice | Failure | Sequence[Choice]
"""What one request gets; a sequence holds one answer for each of its `n` choices."""
Rule: TypeAlias = Callable[[ReceivedRequest], Reply | Awaitable[Reply]]
"""Picks the reply to a request. It runs on the server's event loop, one at a time: it must not block."""
Answers: TypeAlias = Reply | Rule | Mapping[str, Reply | Rule] | Iterable[Reply | Rule]
"""See `ScriptedServer`."""


class NoAnswerError(LookupError):
    """The script has no answer for a request."""


def as_rule(answers: Answers) -> Rule:
    """The rule that a script stands for; see `ScriptedServer`."""
    if isinstance(answers, str | Answer | Failure):
        return lambda _: answers
    if callable(answers):
        return answers
    if isinstance(answers, Mapping):
        return _by_pattern(answers)
    return _in_turn(iter(answers))


def as_answers(reply: Choice | Sequence[Choice], choices: int) -> Sequence[Answer]:
    """The answers that a reply holds, one for each of the choices.

    Raises:
        NoAnswerError: it holds too few or too many, or something else.
    """
    given = [reply] * choices if isinstance(reply, str | Answer) else reply
    if not isinstance(given, Sequence) or not all(isinstance(choice, str | Answer) for choice in given):
        raise NoAnswerError(f"the script replied with {reply!r}, which is no answer")
    if len(given) != choices:
        raise NoAnswerError(f"the request asks for n={choices}, the script answers with {len(given)} choices")
    return [Answer(choice) if isinstance(choice, str) else choice for choice in given]


def _in_turn(answers: Iterator[Reply | Rule]) -> Rule:
    def next_answer(request: ReceivedRequest) -> Reply | Awaitable[Reply]:
        try:
            answer = next(answers)
        except StopIteration:
            raise NoAnswerError("the script has no answer left for this request") from None
        return answer(request) if callable(answer) else answer

    return next_answer


def _by_pattern(table: Mapping[str, Reply | Rule]) -> Rule:
    patterns = [(re.compile(pattern, re.IGNORECASE | re.DOTALL), answer) for pattern, answer in table.items()]

    def first_match(request: ReceivedRequest) -> Reply | Awaitable[Reply]:
        for pattern, answer in patterns:
            if pattern.search(request.user_text):
                return answer(request) if callable(answer) else answer
        raise NoAnswerError(f"no pattern of the script matches the last user message: {request.user_text!r}")

    return first_match
