"""The Responses API, as the server speaks it: an answer in, its JSON objects and events out. No I/O."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from headroom.testing import tokens
from headroom.testing.answers import Answer
from headroom.testing.errors import ConnectionCutError
from headroom.testing.requests import ReceivedRequest

Json: TypeAlias = dict[str, Any]

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}

_ECHOED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, and the values of what the request left out."""


@dataclass(frozen=True, slots=True)
class Response:
    """What one request to `responses` gets."""

    number: int
    """Of the request; ids derive from it."""
    request: ReceivedRequest
    answer: Answer

    def whole(self) -> Json:
        """The answer to a request that does not stream."""
        return self._response(self._status, self._output())

    def events(self) -> Iterator[Json]:
        """The events of a stream.

        Raises:
            ConnectionCutError: where the answer is to be cut off.
        """
        deltas = 0
        for sequence_number, event in enumerate(self._events()):
            if "delta" in event:
                if deltas == self.answer.cut_after:
                    raise ConnectionCutError
                deltas += 1
            yield {**event, "sequence_number": sequence_number}

    @property
    def _status(self) -> str:
        return "incomplete" if self.answer.finish in _INCOMPLETE else "completed"

    def _response(self, status: str, output: list[Json]) -> Json:
        body = self.request.body
        finished = status != "in_progress"
        reason = _INCOMPLETE.get(self.answer.finish) if finished else None
        conversation = body.get("conversation")
        return {
            "id": f"resp_{self.number:06}",
            "object": "response",
            "created_at": int(time.time()),
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": body["model"],
            "output": output,
            "conversation": {"id": conversation} if isinstance(conversation, str) else conversation,
            **{name: body.get(name, usual) for name, usual in _ECHOED.items()},
            "text": {**_ECHOED["text"], **(body.get("text") or {})},
            "usage": self._usage() if finished else None,
        }

    def _output(self) -> list[Json]:
        answer = self.answer
        items: list[Json] = []
        if answer.reasoning is not None:
            summary = [{"type": "summary_text", "text": answer.reasoning}]
            items.append({"id": f"rs_{self.number:06}", "type": "reasoning", "summary": summary})
        if content := self._content():
            message = {"type": "message", "role": "assistant", "status": self._status, "content": content}
            items.append({"id": f"msg_{self.number:06}", **message})
        items.extend(
            {
                "id": f"fc_{self.number:06}_{position}",
                "type": "function_call",
                "call_id": call.id or f"call_{self.number:06}_{position}",
                "name": call.name,
                "arguments": call.json,
                "status": "completed",
            }
            for position, call in enumerate(answer.tool_calls)
        )
        return items

    def _content(self) -> list[Json]:
        parts: list[Json] = []
        if self.answer.text is not None:
            logprobs = self._logprobs(*tokens.pieces(self.answer))
            parts.append(
                {"type": "output_text", "text": self.answer.text, "annotations": [], "logprobs": logprobs}
            )
        if self.answer.refusal is not None:
            parts.append({"type": "refusal", "refusal": self.answer.refusal})
        return parts

    def _events(self) -> Iterator[Json]:
        started = self._response("in_progress", [])
        yield {"type": "response.created", "response": started}
        yield {"type": "response.in_progress", "response": started}
        output = self._output()
        stream = {"reasoning": self._reasoning_events, "message": self._message_events}
        for index, item in enumerate(output):
            place = {"output_index": index, "item_id": item["id"]}
            empty = {
                key: type(value)()
                for key, value in item.items()
                if key in {"content", "summary", "arguments"}
            }
            status = {"status": "in_progress"} if "status" in item else {}
            yield {
                "type": "response.output_item.added",
                "output_index": index,
                "item": {**item, **empty, **status},
            }
            yield from stream.get(item["type"], self._call_events)(place, item)
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": f"response.{self._status}", "response": self._response(self._status, output)}

    def _reasoning_events(self, place: Json, item: Json) -> Iterator[Json]:
        place = {**place, "summary_index": 0}
        (part,) = item["summary"]
        yield {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}}
        for piece in tokens.tokenize(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **place, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": part}

    def _message_events(self, place: Json, item: Json) -> Iterator[Json]:
        for index, part in enumerate(item["content"]):
            at = {**place, "content_index": index}
            if part["type"] == "output_text":
                yield {
                    "type": "response.content_part.added",
                    **at,
                    "part": {**part, "text": "", "logprobs": []},
                }
                for piece in tokens.pieces(self.answer):
                    logprobs = self._logprobs(piece)
                    yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": logprobs}
                whole = {"text": part["text"], "logprobs": part["logprobs"]}
                yield {"type": "response.output_text.done", **at, **whole}
            else:
                yield {"type": "response.content_part.added", **at, "part": {**part, "refusal": ""}}
                for piece in tokens.tokenize(part["refusal"]):
                    yield {"type": "response.refusal.delta", **at, "delta": piece}
                yield {"type": "response.refusal.done", **at, "refusal": part["refusal"]}
            yield {"type": "response.content_part.done", **at, "part": part}

    def _call_events(self, place: Json, item: Json) -> Iterator[Json]:
        for piece in tokens.tokenize(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
        whole = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **place, **whole}

    def _logprobs(self, *pieces: str) -> list[Mapping[str, Any]]:
        if "message.output_text.logprobs" not in (self.request.body.get("include") or ()):
            return []
        return tokens.logprobs(pieces, self.request.body.get("top_logprobs") or 0)

    def _usage(self) -> Json:
        prompt = tokens.count(self.request.prompt_text) + 3
        written, reasoning = tokens.answer_tokens(self.answer)
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": prompt + written,
        }
