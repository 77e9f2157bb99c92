"""The shape of the Responses API: where memories go into a request, and where an answer's texts are."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from headroom.clients.answers import Answer, FilteredText, Request, clean
from headroom.clients.shapes import (
    Json,
    changed,
    get,
    given,
    items,
    last_user_message,
    put,
    with_text,
)
from headroom.prompting.injection import Injection
from headroom.prompting.instruction import INSTRUCTION

_REASONING: Final = frozenset({"reasoning_text", "summary_text"})
"""The types of content in which a model thinks: blocks in there are no operations."""
_FIELDS: Final = {"output_text": "text", "refusal": "refusal", **dict.fromkeys(_REASONING, "text")}
"""The types of content that are text, and where they have it."""

_CUT_OFF: Final = frozenset({"incomplete", "failed", "cancelled"})
"""The statuses of a response or item whose texts may end anywhere."""

Place = tuple[int, int, str]
"""Of a text in the output: the index of the item and of the content in it, and its type."""


class ResponsesRequest(Request):
    """The parameters of `responses.create` and its kin."""

    path = "/responses"
    conversation = "input"

    @cached_property
    def messages(self) -> list[Json]:
        """See `Request.messages`."""
        text = given(self.parameters, "input")
        return [{"role": "user", "content": text}] if isinstance(text, str) else super().messages

    @property
    def takes_notes(self) -> bool:
        """See `Request.takes_notes`."""
        if isinstance(given(self.parameters, "text_format"), type):
            return False
        extra = given(self.parameters, "extra_body")
        wanted = get(given(self.parameters, "text") or get(extra, "text"), "format")
        # What runs in the background is fetched later, and not by way of this call.
        return get(wanted, "type", "text") == "text" and not given(self.parameters, "background")

    def prepared(self, injection: Injection, *, instruct: bool) -> dict[str, Any]:
        """See `Request.prepared`."""
        parameters = dict(self.parameters)
        if injection.text and (place := last_user_message(self.messages)) is not None:
            if isinstance(parameters["input"], str):
                parameters["input"] = injection.before(parameters["input"])
            else:
                messages = list(self.messages)
                messages[place] = with_text(messages[place], injection.text, "input_text", first=True)
                parameters["input"] = messages
        if instruct:
            own = given(self.parameters, "instructions")
            parameters["instructions"] = f"{own}\n\n{INSTRUCTION}" if own else INSTRUCTION
        return parameters

    def answer(self) -> Answer:
        """See `Request.answer`."""
        return ResponsesAnswer(given(self.parameters, "instructions"))


class ResponsesAnswer(Answer):
    """A response, or the events of one.

    A response repeats the instructions it was made with; the caller finds there what the caller wrote.
    """

    def __init__(self, instructions: str | None = None) -> None:
        self._instructions = instructions
        self._open: dict[Place, FilteredText] = {}
        self._latest: dict[Place, Json] = {}
        self._blocks: dict[Place, list[str]] = {}

    @property
    def blocks(self) -> Sequence[str]:
        """See `Answer.blocks`."""
        places = [place for place in sorted(self._blocks) if place[2] not in _REASONING]
        return [block for place in places for block in self._blocks[place]]

    def whole(self, payload: Json) -> bool:
        """See `Answer.whole`."""
        dirty = self._restore_instructions(payload)
        cut_off = get(payload, "status") in _CUT_OFF
        for index, item in enumerate(items(payload, "output")):
            dirty |= self._clean_item(item, index, cut_off=cut_off)
        return dirty | (clean(payload, "output_text", None, "", cut_off=cut_off) is not None)

    def event(self, payload: Json) -> list[Json] | None:
        """See `Answer.event`."""
        kind = str(get(payload, "type")).removeprefix("response.").replace("reasoning_summary_", "summary_")
        name, _, stage = kind.rpartition(".")
        index = get(payload, "output_index", 0)
        content_index = get(payload, "content_index", get(payload, "summary_index", 0))
        place = (index, content_index, name)
        before: list[Json] = []
        match name, stage:
            case _, "delta" if name in _FIELDS:
                dirty = self._clean_delta(payload, place)
            case _, "done" if name in _FIELDS:
                before = self._finish(place)
                dirty = self._keep(place, clean(payload, _FIELDS[name], payload, "logprobs"))
            case "content_part" | "summary_part", _:
                dirty = self._clean_part(get(payload, "part"), index, content_index)
            case "output_item", _:
                dirty = self._clean_item(get(payload, "item"), index)
            case _:
                response = get(payload, "response")
                dirty = response is not None and self.whole(response)
        return [*before, payload] if dirty or before else None

    def end(self) -> list[Json]:
        """See `Answer.end`."""
        return [event for place in list(self._open) for event in self._finish(place, cut_off=True)]

    def _clean_delta(self, event: Json, place: Place) -> bool:
        text = get(event, "delta")
        if not isinstance(text, str):
            return False
        if place not in self._open:
            self._open[place] = FilteredText()
        shown, tokens = self._open[place].feed(text, items(event, "logprobs"))
        self._latest[place] = event
        if shown != text:
            put(event, "delta", shown)
            if get(event, "logprobs") is not None:
                put(event, "logprobs", tokens)
        return shown != text

    def _finish(self, place: Place, *, cut_off: bool = False) -> list[Json]:
        """End the text at this place; an event for what of it was not delivered yet."""
        if place not in self._open:
            return []
        filtered = self._open.pop(place)
        rest, tokens = filtered.finish(cut_off=cut_off)
        self._keep(place, filtered.blocks)
        if not rest:
            return []
        # It has the number of the last event of this text, because its text is that event's.
        event = changed(self._latest[place], delta=rest)
        if get(event, "logprobs") is not None:
            put(event, "logprobs", tokens)
        return [event]

    def _clean_item(self, item: Json, index: int, *, cut_off: bool = False) -> bool:
        cut_off |= get(item, "status") in _CUT_OFF
        dirty = [
            self._clean_part(part, index, content_index, cut_off=cut_off)
            for name in ("content", "summary")
            for content_index, part in enumerate(items(item, name))
        ]
        return any(dirty)

    def _clean_part(self, part: Json, index: int, content_index: int, *, cut_off: bool = False) -> bool:
        kind = get(part, "type")
        if kind not in _FIELDS:
            return False
        blocks = clean(part, _FIELDS[kind], part, "logprobs", cut_off=cut_off)
        return self._keep((index, content_index, kind), blocks)

    def _keep(self, place: Place, blocks: list[str] | None) -> bool:
        # The same text comes several times, in ever larger events: what was noted in it counts once.
        if blocks is not None:
            self._blocks[place] = blocks
        return blocks is not None

    def _restore_instructions(self, response: Json) -> bool:
        told = get(response, "instructions")
        if not isinstance(told, str) or not told.endswith(INSTRUCTION) or told == self._instructions:
            return False
        # What was made earlier may have had other instructions than this call's parameters.
        put(response, "instructions", told.removesuffix(INSTRUCTION).removesuffix("\n\n") or None)
        return True
