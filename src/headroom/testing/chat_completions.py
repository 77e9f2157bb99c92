"""The chat completions API, as the server speaks it: answers in, its JSON objects out. No I/O."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeAlias

from headroom.testing import tokens
from headroom.testing.answers import Answer, ToolCall
from headroom.testing.errors import ConnectionCutError
from headroom.testing.requests import ReceivedRequest

Json: TypeAlias = dict[str, Any]

_AZURE_FILTER: Json = {"hate": {"filtered": False, "severity": "safe"}}


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """What one request to `chat/completions` gets."""

    number: int
    """Of the request; ids derive from it."""
    request: ReceivedRequest
    answers: Sequence[Answer]
    """One for each choice."""

    def whole(self) -> Json:
        """The answer to a request that does not stream."""
        choices = [
            {
                "index": index,
                "message": self._message(answer, index),
                "logprobs": self._logprobs(tokens.pieces(answer)),
                "finish_reason": answer.finish,
                **({"content_filter_results": _AZURE_FILTER} if self._from_azure else {}),
            }
            for index, answer in enumerate(self.answers)
        ]
        filtered = {"prompt_filter_results": [self._prompt_filter]} if self._from_azure else {}
        return {**self._head("chat.completion"), "choices": choices, "usage": self._usage(), **filtered}

    def chunks(self) -> Iterator[Json]:
        """The chunks of a stream, its choices interleaved.

        Raises:
            ConnectionCutError: where the answer is to be cut off.
        """
        head = self._head("chat.completion.chunk")
        wants_usage = (self.request.body.get("stream_options") or {}).get("include_usage", False)
        no_usage = {"usage": None} if wants_usage else {}
        if self._from_azure:
            yield {**head, "choices": [], "prompt_filter_results": [self._prompt_filter]}
        for index, answer in enumerate(self.answers):
            delta = {"role": "assistant", "content": None if answer.text is None else "", "refusal": None}
            yield {**head, "choices": [self._choice(index, delta)], **no_usage}
        rounds = zip_longest(*(self._deltas(answer, index) for index, answer in enumerate(self.answers)))
        for done, deltas in enumerate(rounds):
            if done == self.answers[0].cut_after:
                raise ConnectionCutError
            for index, delta in enumerate(deltas):
                if delta is not None:
                    yield {**head, "choices": [self._choice(index, delta)], **no_usage}
        for index, answer in enumerate(self.answers):
            last = index == len(self.answers) - 1
            groq = {"x_groq": {"id": self._id, "usage": self._usage()}} if last and self._from_groq else {}
            yield {**head, "choices": [self._choice(index, {}, answer.finish)], **no_usage, **groq}
        if wants_usage:
            yield {**head, "choices": [], "usage": self._usage()}

    @property
    def _id(self) -> str:
        return f"chatcmpl-{self.number:06}"

    @property
    def _from_azure(self) -> bool:
        return "/deployments/" in self.request.path

    @property
    def _from_groq(self) -> bool:
        return "groq" in self.request.headers.get("user-agent", "").lower()

    @property
    def _prompt_filter(self) -> Json:
        return {"prompt_index": 0, "content_filter_results": _AZURE_FILTER}

    def _head(self, kind: str) -> Json:
        return {
            "id": self._id,
            "object": kind,
            "created": int(time.time()),
            "model": self.request.body.get("model", "unknown"),
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        }

    def _choice(self, index: int, delta: Json, finish_reason: str | None = None) -> Json:
        written = delta.get("content") if finish_reason is None else None
        return {
            "index": index,
            "delta": delta,
            "logprobs": self._logprobs([written]) if written else None,
            "finish_reason": finish_reason,
        }

    def _message(self, answer: Answer, index: int) -> Json:
        message: Json = {
            "role": "assistant",
            "content": answer.text,
            "refusal": answer.refusal,
            "annotations": [],
        }
        if answer.tool_calls:
            message["tool_calls"] = [
                {
                    "id": self._call_id(call, index, position),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.json},
                }
                for position, call in enumerate(answer.tool_calls)
            ]
        if answer.reasoning is not None:
            message["reasoning"] = answer.reasoning
        return message

    def _deltas(self, answer: Answer, choice: int) -> Iterator[Json]:
        yield from ({"reasoning": piece} for piece in tokens.tokenize(answer.reasoning or ""))
        yield from ({"content": piece} for piece in tokens.pieces(answer))
        yield from ({"refusal": piece} for piece in tokens.tokenize(answer.refusal or ""))
        for position, call in enumerate(answer.tool_calls):
            opening = {"id": self._call_id(call, choice, position), "type": "function"}
            yield {
                "tool_calls": [
                    {"index": position, **opening, "function": {"name": call.name, "arguments": ""}}
                ]
            }
            for piece in tokens.tokenize(call.json):
                yield {"tool_calls": [{"index": position, "function": {"arguments": piece}}]}

    def _call_id(self, call: ToolCall, choice: int, position: int) -> str:
        return call.id or f"call_{self.number:06}_{choice}_{position}"

    def _logprobs(self, texts: Sequence[str]) -> Json | None:
        if not self.request.body.get("logprobs"):
            return None
        return {
            "content": tokens.logprobs(texts, self.request.body.get("top_logprobs") or 0),
            "refusal": None,
        }

    def _usage(self) -> Mapping[str, Any]:
        prompt = tokens.count(self.request.prompt_text) + 3
        written, reasoning = map(sum, zip(*map(tokens.answer_tokens, self.answers), strict=True))
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
