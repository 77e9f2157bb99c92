"""Something like a model's tokens: pieces of a few characters, split where real ones split."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headroom.testing.answers import Answer

_TOKEN: Final = re.compile(r" ?\w{1,7}| ?[^\w\s]{1,2}|\s+")

_LOGPROB: Final = -0.05
"""A plausible logarithm of the probability of a token that the model is sure of."""


def tokenize(text: str) -> list[str]:
    """The tokens of a text; joined they are the text."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens a text has."""
    return len(tokenize(text))


def pieces(answer: Answer) -> Sequence[str]:
    """The pieces in which a stream delivers an answer's text."""
    return tokenize(answer.text or "") if answer.chunks is None else answer.chunks


def answer_tokens(answer: Answer) -> tuple[int, int]:
    """How many tokens an answer took to write, and how many of them were reasoning."""
    reasoning = count(answer.reasoning or "")
    written = [*pieces(answer), *tokenize(answer.refusal or "")]
    called = [token for call in answer.tool_calls for token in tokenize(call.name + call.json)]
    return reasoning + sum(map(count, written)) + len(called), reasoning


def logprobs(texts: Sequence[str], alternatives: int = 0) -> list[Mapping[str, Any]]:
    """A log probability for each token of some pieces of text, in the API's format."""
    return [
        {
            **_logprob(token, _LOGPROB),
            "top_logprobs": [
                _logprob(token if rank == 0 else f"{token}{rank}", _LOGPROB * (rank * 60 + 1))
                for rank in range(alternatives)
            ],
        }
        for text in texts
        for token in tokenize(text)
    ]


def _logprob(token: str, value: float) -> Mapping[str, Any]:
    return {"token": token, "logprob": value, "bytes": list(token.encode())}
