"""The shape of chat completions: where memories go into a request, and where an answer's texts are."""

from collections.abc import Mapping, Sequence
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

_REASONING: Final = ("reasoning", "reasoning_content")
"""Where servers that are like OpenAI's put what a model thinks: blocks in there are no operations."""
_TEXTS: Final = (*_REASONING, "content", "refusal")
_OTHER_TEXTS: Final = frozenset({*_REASONING, "refusal"})
_COMPLETE: Final = frozenset({"stop", "tool_calls", "function_call"})
"""The reasons to stop at which an answer is whole."""
_GOING_ON: Final = frozenset({None, "", "null"})
"""What servers say for no reason to stop: not all of them know null."""


class ChatRequest(Request):
    """The parameters of `chat.completions.create` and its kin."""

    path = "/chat/completions"
    conversation = "messages"

    @property
    def takes_notes(self) -> bool:
        """See `Request.takes_notes`."""
        extra = given(self.parameters, "extra_body")
        wanted = given(self.parameters, "response_format") or get(extra, "response_format")
        if isinstance(wanted, type) or (isinstance(wanted, Mapping) and wanted.get("type") != "text"):
            return False
        return "audio" not in (given(self.parameters, "modalities") or ()) and bool(self.messages)

    def prepared(self, injection: Injection, *, instruct: bool) -> dict[str, Any]:
        """See `Request.prepared`."""
        messages = list(self.messages)
        if injection.text and (place := last_user_message(messages)) is not None:
            messages[place] = with_text(messages[place], injection.text, "text", first=True)
        if instruct:
            roles = [get(message, "role") for message in messages]
            place = next((at for at, role in enumerate(roles) if role in {"system", "developer"}), None)
            if place is None:
                messages.insert(0, {"role": "system", "content": INSTRUCTION})
            else:
                messages[place] = with_text(messages[place], INSTRUCTION, "text", first=False)
        return {**self.parameters, "messages": messages}

    def answer(self) -> Answer:
        """See `Request.answer`."""
        return ChatAnswer()


class ChatAnswer(Answer):
    """A chat completion, or the chunks of one; each choice has texts of its own."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], FilteredText] = {}
        self._latest: dict[tuple[int, str], tuple[Json, Json]] = {}
        self._blocks: dict[int, list[str]] = {}
        self._stopped: set[tuple[int, str]] = set()

    @property
    def blocks(self) -> Sequence[str]:
        """See `Answer.blocks`."""
        # Choices are alternatives: taking the notes of all of them would store each memory several times.
        noted = [index for index, blocks in self._blocks.items() if blocks]
        return self._blocks[min(noted)] if noted else ()

    def whole(self, payload: Json) -> bool:
        """See `Answer.whole`."""
        dirty = False
        for choice in items(payload, "choices"):
            message = get(choice, "message")
            cut_off = get(choice, "finish_reason") not in _COMPLETE
            for name in _TEXTS:
                for holder, field in _pieces(message, name):
                    blocks = clean(holder, field, get(choice, "logprobs"), name, cut_off=cut_off)
                    if blocks is not None:
                        dirty = True
                        self._keep((get(choice, "index", 0), name), blocks)
                        if not get(message, name) and get(message, "tool_calls"):
                            put(message, name, None)
        for completion in items(payload, "data"):  # a list of stored completions
            dirty |= self.whole(completion)
        return dirty

    def event(self, payload: Json) -> list[Json] | None:
        """See `Answer.event`."""
        before: list[Json] = []
        dirty = False
        for choice in items(payload, "choices"):
            delta, index = get(choice, "delta"), get(choice, "index", 0)
            if self._is_plain(choice, delta, index):
                dirty |= self._clean_plain(payload, choice, delta, index)
                continue
            for name in _TEXTS:
                if get(delta, name) or (index, name) in self._open:
                    dirty |= self._clean_delta(payload, choice, (index, name), before)
        return [*before, payload] if dirty else None

    def _is_plain(self, choice: Json, delta: Json, index: int) -> bool:
        """Whether all there is to clean is some content in the middle of an answer, as in most chunks."""
        return (
            type(delta) is type(choice) is dict
            and type(delta.get("content")) is str
            and choice.get("finish_reason") in _GOING_ON
            and choice.get("logprobs") is None
            and _OTHER_TEXTS.isdisjoint(delta)
            and (not self._open or (len(self._open) == 1 and (index, "content") in self._open))
        )

    def _clean_plain(self, chunk: Json, choice: Json, delta: Json, index: int) -> bool:
        place, text = (index, "content"), delta["content"]
        filtered = self._open.get(place)
        if filtered is None:
            filtered = self._open[place] = FilteredText()
        self._latest[place] = (chunk, choice)
        shown, _ = filtered.feed(text)
        delta["content"] = shown
        return bool(shown != text)

    def _clean_delta(self, chunk: Json, choice: Json, place: tuple[int, str], before: list[Json]) -> bool:
        """Clean one text of one choice; what has to be delivered before this chunk is added to `before`."""
        name, delta, logprobs = place[1], get(choice, "delta"), get(choice, "logprobs")
        pieces = _pieces(delta, name)
        text = "".join([get(*piece) or "" for piece in pieces])
        filtered = self._open.get(place)
        if filtered is None:
            filtered = self._open[place] = FilteredText()
        shown, tokens = filtered.feed(text, items(logprobs, name))
        reason = get(choice, "finish_reason")
        thought = name in _REASONING and not text and bool(get(delta, "content") or get(delta, "tool_calls"))
        # Where more comes after a reason to stop, the server gives one with every chunk, as some gateways do.
        going_on = reason in _GOING_ON or (text != "" and place in self._stopped)
        if text:
            self._latest[place] = (chunk, choice)
        if not going_on:
            self._stopped.add(place)
        if thought or not going_on:
            rest, more = self._finish(place, cut_off=not going_on and reason not in _COMPLETE)
            if text or (get(delta, "tool_calls") and not thought):
                shown, tokens = shown + rest, tokens + more
            elif rest:
                # Who has seen the reason to stop may not look for text any more.
                before.append(_chunk(*self._latest[place], name, rest, more))
        if shown != text:
            for holder, field in pieces[1:]:
                put(holder, field, "")
            put(*pieces[0], shown)
            if logprobs is not None:
                put(logprobs, name, tokens)
        return shown != text or bool(before)

    def _finish(self, place: tuple[int, str], *, cut_off: bool) -> tuple[str, list[Json]]:
        filtered = self._open.pop(place)
        rest = filtered.finish(cut_off=cut_off)
        self._keep(place, filtered.blocks)
        return rest

    def _keep(self, place: tuple[int, str], blocks: Sequence[str]) -> None:
        if place[1] not in _REASONING:
            self._blocks.setdefault(place[0], []).extend(blocks)

    def end(self) -> list[Json]:
        """See `Answer.end`."""
        chunks = []
        for place in list(self._open):
            rest, tokens = self._finish(place, cut_off=True)
            if rest:
                chunks.append(_chunk(*self._latest[place], place[1], rest, tokens))
        return chunks


def _pieces(message: Json, name: str) -> list[tuple[Json, str]]:
    """Where a text of a message or delta is: in the field itself, or in parts, as some servers have it."""
    if isinstance(get(message, name), str):
        return [(message, name)]
    parts = [(part, "text") for part in items(message, name)]
    return [piece for piece in parts if isinstance(get(*piece), str)] or [(message, name)]


def _chunk(like: Json, choice: Json, name: str, text: str, tokens: list[Json]) -> Json:
    """A chunk that delivers a text, and nothing else, made after another one of the same choice."""
    delta, logprobs = get(choice, "delta"), get(choice, "logprobs")
    if type(delta) is dict:
        delta = {name: text}
    else:
        others = delta if isinstance(delta, Mapping) else getattr(delta, "__dict__", ())
        delta = changed(delta, **{**dict.fromkeys(others), name: text})
    choice = changed(choice, delta=delta, finish_reason=None)
    if tokens or logprobs is not None:
        put(choice, "logprobs", changed(logprobs or {}, **{name: tokens}) if tokens else None)
    chunk = changed(like, choices=[choice])
    if get(chunk, "usage") is not None:
        put(chunk, "usage", None)
    return chunk
