"""Cleans answers where all of an SDK's doors lead through: in the body of the HTTP response.

OpenAI's and Groq's SDKs speak HTTP through httpx (or its successor), whose clients call hooks with each
response before anything of it was read. The hook below changes the body of the response to a wrapped call;
so what `create`, `parse`, `stream`, the raw and the streaming responses give, in their own types, is clean
already. For all other calls it does nothing.
"""

import json
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final, Protocol

from pydantic_core import from_json, to_json
from wrapt import BaseObjectProxy

from headroom.clients.shapes import Json

_EVENT_END: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_LINE: Final = re.compile(rb"[^\r\n]+")


class Delivery(Protocol):
    """A call whose answer is on its way."""

    path: str
    """What the URLs contain whose responses are its answer."""
    over_http: bool
    """Set once an HTTP response has gone through the hook."""

    def clean(self, payload: Json, *, event: bool) -> list[Json] | None:
        """Clean an answer or an event; what takes its place, or None where nothing changed."""

    def rest(self) -> list[Json]:
        """What is still to be delivered where a stream ends."""

    def ended(self) -> None:
        """Whatever of the answer will arrive has arrived."""

    async def ended_async(self) -> None:
        """The same in a task."""

    def finish(self) -> None:
        """Store what was noted; once."""

    async def finish_async(self) -> None:
        """The same in a task."""

    def abandon(self) -> None:
        """The same without anybody waiting for it."""


in_flight: Final[ContextVar[Delivery | None]] = ContextVar("headroom_in_flight", default=None)
"""The wrapped call that the SDK is carrying out."""


def hook_into(http_client: Any) -> None:
    """Have the client call the hook below, before all other hooks; once."""
    hooks = getattr(http_client, "event_hooks", None)
    if not isinstance(hooks, dict):
        return
    hook = _clean_async if hasattr(http_client, "aclose") else _clean
    if hook not in hooks["response"]:
        http_client.event_hooks = {**hooks, "response": [hook, *hooks["response"]]}


def _clean(response: Any) -> None:
    delivery = in_flight.get()
    if delivery is None or not response.is_success or delivery.path not in response.request.url.path:
        return
    delivery.over_http = True
    body = CleanBody(response, delivery)
    for header in ("content-encoding", "content-length"):
        response.headers.pop(header, None)
    if hasattr(response, "_content"):
        # It was read already, or never was a stream: transports that are made for tests do that.
        response._content = b"".join(body)  # noqa: SLF001 - there is no other way in
        response.__dict__.pop("_text", None)
        delivery.ended()
    response.stream = body


async def _clean_async(response: Any) -> None:
    _clean(response)


class CleanBody(BaseObjectProxy):  # type: ignore[type-arg]  # wrapt 2.0 cannot subscript it
    """The body of a response, without what the model noted in it."""

    def __init__(self, response: Any, delivery: Delivery) -> None:
        super().__init__(response.stream)
        self._self_rewriter = _BodyRewriter(delivery)
        self._self_delivery = delivery
        self._self_plain = _plain(response)
        self._self_chunks: Any = None

    def __iter__(self) -> Iterator[bytes]:
        plain = self._self_plain
        for chunk in self.__wrapped__ if plain is None else plain.iter_bytes():
            if clean := self._self_rewriter.feed(chunk):
                yield clean
        if clean := self._self_rewriter.finish():
            yield clean

    def __aiter__(self) -> "CleanBody":
        # Iterated anew (the SDK drains what lies behind the last event), it goes on where it was.
        if self._self_chunks is None:
            plain = self._self_plain
            self._self_chunks = aiter(self.__wrapped__ if plain is None else plain.aiter_bytes())
        return self

    async def __anext__(self) -> bytes:
        async for chunk in self._self_chunks:
            if clean := self._self_rewriter.feed(chunk):
                return clean
        if clean := self._self_rewriter.finish():
            return clean
        raise StopAsyncIteration

    def close(self) -> None:
        """Release the connection; the answer ends here."""
        try:
            (self._self_plain or self.__wrapped__).close()
        finally:
            self._self_delivery.ended()

    async def aclose(self) -> None:
        """The same for an asynchronous body."""
        try:
            try:
                if hasattr(self._self_chunks, "aclose"):
                    await self._self_chunks.aclose()
            finally:
                await (self._self_plain or self.__wrapped__).aclose()
        finally:
            await self._self_delivery.ended_async()

    def __del__(self) -> None:
        # Not every SDK closes the response of a stream that is dropped.
        self._self_delivery.abandon()


def _plain(response: Any) -> Any:
    """A second response around the same body, which undoes its compression, if there is any to undo."""
    read = hasattr(response, "_content")
    if not read and response.headers.get("content-encoding", "identity") == "identity":
        return None
    plain = type(response)(
        response.status_code, headers=response.headers, stream=response.stream, request=response.request
    )
    if read:
        plain._content = response._content  # noqa: SLF001 - see _clean
    return plain


class _Rewriter(Protocol):
    """Takes a body in pieces, and returns what of it can be delivered."""

    def __init__(self, delivery: Delivery) -> None: ...

    def feed(self, chunk: bytes) -> bytes:
        """Take the next piece."""

    def finish(self) -> bytes:
        """The rest."""


class _BodyRewriter:
    """A body of either kind below. Its first character tells which, for not all servers say so."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._blank = b""
        self._rewriter: _Rewriter | None = None

    def feed(self, chunk: bytes) -> bytes:
        """See `_Rewriter.feed`."""
        if self._rewriter is None:
            chunk, self._blank = self._blank + chunk, b""
            if not (start := chunk.lstrip()):
                self._blank = chunk
                return b""
            self._rewriter = (_JsonRewriter if start.startswith(b"{") else _EventRewriter)(self._delivery)
        return self._rewriter.feed(chunk)

    def finish(self) -> bytes:
        """See `_Rewriter.finish`."""
        blank, self._blank = self._blank, b""
        return blank if self._rewriter is None else self._rewriter.finish()


class _JsonRewriter:
    """A body that is one JSON object; one that is not is delivered as it is."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._body = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """See `_Rewriter.feed`."""
        self._body += chunk
        return b""

    def finish(self) -> bytes:
        """See `_Rewriter.finish`."""
        body = bytes(self._body)
        self._body.clear()
        payload = _parsed(body)
        if payload is None or (clean := self._delivery.clean(payload, event=False)) is None:
            return body
        return _encoded(clean[0])


class _EventRewriter:
    """A body of server-sent events; those that need no cleaning are delivered byte for byte."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._pending = bytearray()
        self._name: bytes | None = None

    def feed(self, chunk: bytes) -> bytes:
        """See `_Rewriter.feed`."""
        if not self._pending and 1 < chunk.find(b"\n\n") == len(chunk) - 2 and b"\r" not in chunk:
            return self._rewritten(chunk)  # a piece that is one event, as most are
        start, search = 0, max(0, len(self._pending) - 3)  # where an event's end may have begun
        self._pending += chunk
        clean = []
        while (end := _end_of_event(self._pending, search)) is not None:
            clean.append(self._rewritten(bytes(self._pending[start:end])))
            start = search = end
        del self._pending[:start]
        return b"".join(clean)

    def finish(self) -> bytes:
        """See `_Rewriter.finish`."""
        last = bytes(self._pending)
        self._pending.clear()
        return (self._rewritten(last) if last.strip() else last) + self._rest()

    def _rewritten(self, event: bytes) -> bytes:
        name = event.find(b"\n") + 1 if event.startswith(b"event:") else 0
        if (
            event.startswith(b"data: ", name) and event.find(b"\n", name) == len(event) - 2
        ):  # as OpenAI sends them
            data, others = event[name + 6 : -2], [event[: name - 1]] if name else []
        else:
            lines = _LINE.findall(event)
            data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
            others = [line for line in lines if not line.startswith(b"data:")]
        if data.startswith(b"[DONE]"):
            return self._rest() + event
        payload = _parsed(data)
        if payload is None or (clean := self._delivery.clean(payload, event=True)) is None:
            return event
        self._name = next((line for line in others if line.startswith(b"event:")), None)
        *before, last = clean
        own = b"\n".join([*others, b"data: " + _encoded(last), b"", b""])
        return b"".join(map(self._event, before)) + own

    def _rest(self) -> bytes:
        return b"".join(map(self._event, self._delivery.rest()))

    def _event(self, payload: Json) -> bytes:
        named = [] if self._name is None else [self._name]
        if named and "type" in payload:
            named = [f"event: {payload['type']}".encode()]
        return b"\n".join([*named, b"data: " + _encoded(payload), b"", b""])


def _end_of_event(body: bytearray, search: int) -> int | None:
    """Where the first event ends whose end begins at `search` or later; None where it is still to come."""
    end = body.find(b"\n\n", search)
    if body.find(b"\r", search, len(body) if end < 0 else end) < 0:
        return None if end < 0 else end + 2
    found = _EVENT_END.search(body, search)
    return None if found is None else found.end()


def _parsed(data: bytes) -> Json | None:
    try:
        payload = from_json(data)
    except ValueError:
        try:
            payload = json.loads(data)  # slower, but it knows half surrogate pairs
        except ValueError:
            return None
    return payload if isinstance(payload, dict) else None


def _encoded(payload: Json) -> bytes:
    try:
        return to_json(payload, inf_nan_mode="constants")
    except ValueError:
        # Half a surrogate pair, which UTF-8 cannot say, becomes the escape that JSON has for it.
        return _encode(payload).encode(errors="backslashreplace")
