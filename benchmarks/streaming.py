"""What a wrapped client adds to each chunk of a stream, and to importing the package.

    python benchmarks/streaming.py [--streams 200]

OpenAI's SDK reads prepared streams from memory, plain and wrapped in turn, so that neither network nor server
are in the figures and both see the same machine; the processor's time counts, so that what else runs there is
not in them either. Writes `results/streaming.md` and `.json` beside this file.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from measuring import RESULTS, machine, progress_bar, table
from openai import AsyncOpenAI, OpenAI

from headroom import with_memory
from headroom.memory import Engine, MemoryConfig
from headroom.testing.tokens import tokenize

LIMIT = 20
"""Microseconds that may be added to a chunk, at the median."""
IMPORT_LIMIT = 100
"""Milliseconds that importing the package may take."""
IMPORTS = 7

PROSE = "The quick brown fox jumps over the lazy dog, and then it rests a while in the shade of a tree. " * 8
CODE = (
    "```python\nif a < b and c > d:\n    print(f'<b>{a}</b>')  # `a` is less\n```\nThat is what `<b>` does.\n"
    * 8
)
BLOCK = json.dumps(
    {
        "memories": [
            {"content": f"Prefers option {n} for backend work", "category": "preference"} for n in range(8)
        ]
    }
)
ANSWERS = {
    "prose": PROSE,
    "code with tags": CODE,
    "a short answer and a long block": f"Noted.\n\n<memory>{BLOCK}</memory>",
}


@dataclass(frozen=True)
class Cost:
    """What one kind of stream costs, in microseconds a chunk."""

    what: str
    plain: float
    """The SDK alone, at the median of streams."""
    added: float
    """What is added to that: the median over pairs of streams."""


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that arrives event by event."""

    def __init__(self, events: Sequence[bytes]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._events)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._events:
            yield event


def chat_events(answer: str) -> list[bytes]:
    """A chat completion as OpenAI streams it: a token in each chunk."""
    head = {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion.chunk",
        "created": 1741570283,
    }
    head |= {"model": "gpt-4o-2024-08-06", "service_tier": "default", "system_fingerprint": "fp_fc9f1d7035"}
    pieces = tokenize(answer)
    choices = [
        {"index": 0, "delta": {"content": piece}, "logprobs": None, "finish_reason": None} for piece in pieces
    ]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    return [
        *(
            f"data: {json.dumps({**head, 'choices': [choice], 'usage': None})}\n\n".encode()
            for choice in choices
        ),
        b"data: [DONE]\n\n",
    ]


def response_events(answer: str) -> list[bytes]:
    """The same as a response; the few events around the text are left out."""
    place = {"item_id": "msg_67c9fdcf37fc8190ba82116e33fb28c5", "output_index": 0, "content_index": 0}
    pieces = tokenize(answer)
    events: list[dict[str, Any]] = [
        {
            "type": "response.output_text.delta",
            **place,
            "delta": piece,
            "sequence_number": number,
            "logprobs": [],
        }
        for number, piece in enumerate(pieces)
    ]
    done = {"sequence_number": len(pieces), "text": answer, "logprobs": []}
    events.append({"type": "response.output_text.done", **place, **done})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def answering(events: Sequence[bytes]) -> httpx2.MockTransport:
    """A transport that answers everything with these events."""
    headers = {"content-type": "text/event-stream"}
    return httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, stream=Body(events)))


def chat_stream(client: Any) -> Any:
    """Ask for a chat completion."""
    return client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
    )


def response_stream(client: Any) -> Any:
    """Ask for a response."""
    return client.responses.create(model="m", input="Hi", stream=True)


def read(ask: Callable[[Any], Any], client: Any) -> float:
    """The seconds of processor time that reading a stream takes, without asking and storing."""
    took = 0.0
    with ask(client) as stream:
        start = time.thread_time()
        for event in stream:
            if is_last(event):
                took = time.thread_time() - start
    return took


async def read_async(ask: Callable[[Any], Any], client: Any) -> float:
    """The same for an asynchronous client."""
    stream = await ask(client)
    start = time.thread_time()
    took = 0.0
    async for event in stream:
        if is_last(event):
            took = time.thread_time() - start
    return took


def is_last(event: Any) -> bool:
    """Whether nothing but the end of the stream follows."""
    choices = getattr(event, "choices", None)
    return choices[0].finish_reason is not None if choices else event.type.endswith(".done")


def compare(
    what: str,
    measure: Callable[[Any], float],
    plain: Any,
    wrapped: Any,
    chunks: int,
    advance: Callable[[], None],
) -> Cost:
    """Read the same stream both ways in turn."""

    def once(client: Any) -> float:
        return measure(client) / chunks * 1e6

    pairs = []
    while advance():
        pairs.append((once(plain), once(wrapped)))
    return Cost(what, median(alone for alone, _ in pairs), median(more - alone for alone, more in pairs))


def import_time() -> float:
    """How many milliseconds importing the package takes in a new interpreter: the best of a few."""
    code = "import time; start = time.perf_counter(); import headroom; print(time.perf_counter() - start)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)  # noqa: S603
        for _ in range(IMPORTS)
    ]
    return min(times) * 1e3


def measure_all(streams: int, engine: Engine) -> list[Cost]:
    """Compare every kind of stream."""
    costs = []
    kinds = {"chat completions": (chat_events, chat_stream), "responses": (response_events, response_stream)}
    cases = [(api, name, way) for api in kinds for name in ANSWERS for way in ("sync", "async")]
    options = {"base_url": "http://localhost/v1", "api_key": "none"}
    with progress_bar() as progress, asyncio.Runner() as runner:
        task = progress.add_task("streams", total=len(cases) * streams)
        for api, name, way in cases:
            make_events, ask = kinds[api]
            events = make_events(ANSWERS[name])
            transport = answering(events)
            plain: Any
            measure: Callable[[Any], float]
            if way == "sync":
                plain = OpenAI(http_client=httpx2.Client(transport=transport), **options)
                measure = partial(read, ask)
            else:
                plain = AsyncOpenAI(http_client=httpx2.AsyncClient(transport=transport), **options)
                measure = partial(run_async, runner, ask)
            left = iter(range(streams))

            def advance(left: Iterator[int] = left) -> bool:
                progress.advance(task)
                return next(left, None) is not None

            wrapped = with_memory(plain, "alice", memory=engine, strict=True)
            costs.append(compare(f"{api}, {way}: {name}", measure, plain, wrapped, len(events) - 1, advance))
    return costs


def run_async(runner: asyncio.Runner, ask: Callable[[Any], Any], client: Any) -> float:
    """Read a stream in an event loop."""
    return runner.run(read_async(ask, client))


def main() -> None:
    """Measure, print and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--streams", type=int, default=200, help="how many of each kind")
    with TemporaryDirectory() as folder, Engine(MemoryConfig(db_path=Path(folder) / "memory.db")) as engine:
        costs = measure_all(arguments.parse_args().streams, engine)
    importing = import_time()

    rows = [[cost.what, f"{cost.plain:.1f}", f"{cost.added:.1f}"] for cost in costs]
    lines = table(["Stream", "the SDK alone, µs a chunk", "added, µs a chunk"], rows)
    lines += ["", f"`import headroom` takes {importing:.0f} ms."]
    print("\n".join(lines))
    about = ", ".join(f"{name} {value}" for name, value in machine().items())
    (RESULTS / "streaming.md").write_text("\n".join([*lines, "", about, ""]))
    figures = {"machine": machine(), "costs": [asdict(cost) for cost in costs], "import_ms": importing}
    (RESULTS / "streaming.json").write_text(json.dumps(figures, indent=2) + "\n")
    worst = max(cost.added for cost in costs)
    print(f"at most {worst:.1f} µs a chunk; the limit is {LIMIT} µs")
    if worst > LIMIT or importing > IMPORT_LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
