"""A stream gives the text without the block, at once, in the SDK's own objects; what was noted is stored
once, however the stream ends."""

import gc
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx2
import pytest
from asking import CLIENTS, block, deltas, got, user
from openai import APIConnectionError, AsyncStream, OpenAI, Stream

from headroom import with_memory
from headroom.clients.chat import ChatAnswer
from headroom.clients.wire import _EventRewriter
from headroom.memory import Engine, MemoryFilter
from headroom.testing import Answer, ScriptedServer

Connect = Callable[..., Any]
Serve = Callable[..., ScriptedServer]
HELLO = user("Hello there")
NOTE = block("Likes tea")
TEXT = f"I see, tea it is.\n\n{NOTE}"

ANSWERS = [
    "Just an answer, with a < b\nand `<memory>`.\n",
    f"I see.\n\n{NOTE}",
    f"I see. {NOTE} And more.\n",
    f"One. {NOTE} Two. {block('Is 40')}",
    f"I see.\n{NOTE[:-25]}",
    "Use <memory> and </memory> tags.",
    f"```python\nx = '<memory>'\n{NOTE}\n```\nThat is it.",
    f"Grüße, 世界 👩‍💻!\n{block('Mag Käse 🧀')}",
    NOTE,
    f"{NOTE}\n\nI see.",
]


def contents(engine: Engine, user_id: str = "alice") -> list[str]:
    return [memory.content for memory in engine.query(MemoryFilter(user_id=user_id))]


class Rewriting:
    """Server-sent events through the rewriter, without a server."""

    def __init__(self) -> None:
        self.answer = ChatAnswer()
        self.rest = self.answer.end

    def clean(self, payload: Any, *, event: bool) -> list[Any] | None:
        assert event
        return self.answer.event(payload)

    def read(self, pieces: list[str], cuts: list[int] | None = None) -> str:
        body = b"".join(map(sse, pieces)) + sse("", "stop") + b"data: [DONE]\n\n"
        rewriter = _EventRewriter(self)  # type: ignore[arg-type]
        cuts = [0, *(cuts or []), len(body)]
        clean = b"".join(rewriter.feed(body[start:end]) for start, end in itertools.pairwise(cuts))
        clean += rewriter.finish()
        assert clean.endswith(b"data: [DONE]\n\n")
        events = [json.loads(line[6:]) for line in clean.decode().split("\n\n") if line.startswith("data: {")]
        assert events[-1]["choices"][0]["finish_reason"] == "stop"
        return "".join(event["choices"][0]["delta"].get("content", "") for event in events)


def sse(content: str, finish_reason: str | None = None) -> bytes:
    delta = {} if finish_reason else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({'id': 'x', 'choices': [choice]})}\n\n".encode()


def whole(answer: str) -> tuple[str, list[str]]:
    reader = ChatAnswer()
    message = {"content": answer}
    reader.whole({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    return message["content"], list(reader.blocks)


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_split_into_two_and_three_chunks_gives_what_the_whole_answer_gives(answer: str) -> None:
    expected = whole(answer)
    for first, second in itertools.combinations_with_replacement(range(len(answer) + 1), 2):
        rewriting = Rewriting()
        text = rewriting.read([answer[:first], answer[first:second], answer[second:]])
        assert (text, list(rewriting.answer.blocks)) == expected


def test_ten_thousand_random_splits_give_what_the_whole_answers_give() -> None:
    dice = random.Random(11)
    wholes = {answer: whole(answer) for answer in ANSWERS}
    for _ in range(10_000):
        answer = dice.choice(ANSWERS)
        cuts = sorted(dice.choices(range(len(answer) + 1), k=dice.randrange(8)))
        rewriting = Rewriting()
        pieces = [answer[start:end] for start, end in itertools.pairwise([0, *cuts, len(answer)])]
        text = rewriting.read(pieces, sorted(dice.choices(range(200), k=3)))
        assert (text, list(rewriting.answer.blocks)) == wholes[answer]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\r"])
def test_other_forms_of_server_sent_events(separator: str) -> None:
    rewriting = Rewriting()
    rewriter = _EventRewriter(rewriting)  # type: ignore[arg-type]
    lines = [
        ": a comment",
        "",
        "id: 7",
        "event: chunk",
        *sse(f"Hi.{NOTE}").decode().split("\n")[:1],
        "retry: 5",
        "",
    ]
    body = separator.join([*lines, ""]).encode()
    clean = b"".join(rewriter.feed(bytes([byte])) for byte in body) + rewriter.finish()
    assert b"id: 7" in clean
    assert b"event: chunk" in clean
    assert b": a comment" in clean
    assert b'"content":"Hi."' in clean
    assert b"<memory>" not in clean


def test_a_name_that_is_none_of_the_apis_stays_with_the_events() -> None:
    rewriter = _EventRewriter(Rewriting())  # type: ignore[arg-type]
    events = [sse("Tea, or "), sse("a <mem"), sse("", "stop")]
    clean = b"".join(rewriter.feed(b"event: chunk\n" + event) for event in events) + rewriter.finish()
    assert clean.count(b"event: chunk\ndata: ") == clean.count(b"data: ") == 4
    assert b'"content":" <mem"' in clean


@pytest.mark.parametrize("kind", [None, "text/plain; charset=utf-8", "application/json"])
@pytest.mark.parametrize("blank", [b"", b"\n\n"])
def test_a_stream_is_cleaned_and_not_delayed_whatever_the_server_calls_it(
    engine: Engine, kind: str | None, blank: bytes
) -> None:
    sent: list[bytes] = []

    class Body(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for piece in (blank, sse("Tea "), sse("it is."), sse(NOTE), sse("", "stop"), b"data: [DONE]\n\n"):
                sent.append(piece)
                yield piece

    headers = {} if kind is None else {"content-type": kind}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, stream=Body()))
    inner = OpenAI(api_key="any", http_client=httpx2.Client(transport=transport))
    with with_memory(inner, "alice", memory=engine, strict=True) as client:
        stream = client.chat.completions.create(model="any", messages=HELLO, stream=True)
        assert next(stream).choices[0].delta.content == "Tea"
        assert len(sent) == 2
        assert deltas(list(stream)) == " it is."
    assert contents(engine) == ["Likes tea"]


def test_events_that_need_no_cleaning_pass_byte_for_byte() -> None:
    body = (
        sse("Hello")
        + b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n'
        + b"data: nonsense\n\n: ping\n\n"
    )
    assert _EventRewriter(Rewriting()).feed(body) == body  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_streamed_answer_stores_what_a_whole_one_stores(
    connect: Connect, serve: Serve, engine: Engine, answer: str
) -> None:
    server = serve(answer)
    completion = connect(server).chat.completions.create(model="any", messages=HELLO)
    stream = connect(server, user_id="bob").chat.completions.create(model="any", messages=HELLO, stream=True)
    assert deltas(list(stream)) == completion.choices[0].message.content == whole(answer)[0]
    assert contents(engine, "bob") == contents(engine, "alice")


def test_the_first_character_is_not_delayed(connect: Connect, serve: Serve) -> None:
    answer = Answer(chunks=["T", "ea", " it", " is", f". {NOTE}"], chunk_delay=0.05)
    stream = connect(serve(answer)).chat.completions.create(model="any", messages=HELLO, stream=True)
    chunks = [chunk.choices[0].delta.content for chunk in stream if chunk.choices]
    assert chunks[1:6] == ["T", "ea", " it", " is", "."]


def test_what_was_held_back_comes_before_the_reason_to_stop(connect: Connect, serve: Serve) -> None:
    answer = Answer(chunks=["So a ", "<", "memory", "  "])
    chunks = list(connect(serve(answer)).chat.completions.create(model="any", messages=HELLO, stream=True))
    assert deltas(chunks) == "So a <memory  "
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "stop"]
    assert deltas(chunks[-1:]) == ""


def test_chunks_with_usage_and_tools_pass(connect: Connect, serve: Serve) -> None:
    client = connect(serve(TEXT))
    chunks = list(
        client.chat.completions.create(
            model="any", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 20


def test_the_stream_is_the_sdks_own(connect: Connect, serve: Serve) -> None:
    stream = connect(serve(TEXT)).chat.completions.create(model="any", messages=HELLO, stream=True)
    assert type(stream) is Stream
    assert type(stream.response) is httpx2.Response
    assert deltas([next(stream), next(stream), next(stream)])
    with stream as same:
        assert same is stream
        assert deltas(list(stream))
    assert stream.response.is_closed


@pytest.mark.anyio
async def test_the_asynchronous_stream_is_the_sdks_own(connect_async: Connect, serve: Serve) -> None:
    stream = await connect_async(serve(TEXT)).chat.completions.create(
        model="any", messages=HELLO, stream=True
    )
    assert type(stream) is AsyncStream
    await anext(stream)
    async with stream as same:
        assert same is stream
    assert stream.response.is_closed


class TestHoweverAStreamEnds:
    """What was noted by then is stored, once, and nothing keeps running."""

    EARLY = Answer(chunks=["Tea.", NOTE, " And", " so", " on", f" {block('Is 40')}"])

    @pytest.fixture
    def stream(self, connect: Connect, serve: Serve) -> Any:
        client = connect(serve(self.EARLY))
        return client.chat.completions.create(model="any", messages=HELLO, stream=True)

    def read_past_the_first_note(self, stream: Iterator[Any]) -> None:
        text = ""
        while " And" not in text:
            text += deltas([next(stream)])

    def test_at_its_end(self, stream: Any, engine: Engine) -> None:
        list(stream)
        stream.close()
        assert contents(engine) == ["Likes tea", "Is 40"]

    def test_closed_early(self, stream: Any, engine: Engine) -> None:
        self.read_past_the_first_note(stream)
        stream.close()
        assert contents(engine) == ["Likes tea"]

    def test_left_early(self, stream: Any, engine: Engine) -> None:
        def fail() -> None:
            with stream:
                self.read_past_the_first_note(stream)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert contents(engine) == ["Likes tea"]

    def test_closed_before_it_began(self, stream: Any, engine: Engine) -> None:
        stream.close()
        assert contents(engine) == []

    @pytest.mark.anyio
    @pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
    @pytest.mark.parametrize("provider", ["openai", "groq"])
    async def test_dropped(
        self,
        serve: Serve,
        engine: Engine,
        provider: str,
        asynchronous: bool,  # noqa: FBT001 - a parameter of the test
    ) -> None:
        inner = CLIENTS[provider, asynchronous](serve(self.EARLY))
        client = with_memory(inner, "alice", memory=engine)
        stream = await got(client.chat.completions.create(model="any", messages=HELLO, stream=True))
        if asynchronous:
            while " And" not in deltas([await anext(stream)]):
                pass
        else:
            self.read_past_the_first_note(stream)
        del stream
        gc.collect()
        with anyio.fail_after(10):
            while not contents(engine):  # noqa: ASYNC110 - a thread has no event of the loop's
                await anyio.sleep(0.01)
        await got(inner.close())
        assert contents(engine) == ["Likes tea"]

    def test_dropped_in_the_middle_of_the_engines_work(
        self, connect: Connect, serve: Serve, engine: Engine
    ) -> None:
        """A collection inside of a transaction must not begin another one on the same connection."""
        client = connect(serve(self.EARLY))
        stream = client.chat.completions.create(model="any", messages=HELLO, stream=True)
        self.read_past_the_first_note(stream)
        holder = [stream]
        del stream

        class Collecting:
            name, dimension = "collecting", 384

            def embed(self, texts: list[str]) -> Any:
                holder.clear()
                gc.collect()
                return embedder.embed(texts)

        embedder = engine._embedder
        engine._embedder = Collecting()  # type: ignore[assignment]
        engine.add("Has a dog", "bob")
        engine._embedder = embedder
        deadline = time.monotonic() + 10
        while not contents(engine) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert contents(engine) == ["Likes tea"]
        assert contents(engine, "bob") == ["Has a dog"]

    @pytest.mark.parametrize("cut_after", [3, 5])
    def test_broken_off(self, connect: Connect, serve: Serve, engine: Engine, cut_after: int) -> None:
        answer = Answer(chunks=self.EARLY.chunks, cut_after=cut_after)
        stream = connect(serve(answer)).chat.completions.create(model="any", messages=HELLO, stream=True)
        with pytest.raises((APIConnectionError, httpx2.HTTPError)):
            list(stream)
        assert contents(engine) == ["Likes tea"]

    def test_the_helper_closed_early(self, connect: Connect, serve: Serve, engine: Engine) -> None:
        with connect(serve(self.EARLY)).chat.completions.stream(model="any", messages=HELLO) as stream:
            for event in stream:
                if event.type == "content.delta" and " so" in event.delta:
                    break
        assert contents(engine) == ["Likes tea"]

    def test_the_responses_stream_closed_early(self, connect: Connect, serve: Serve, engine: Engine) -> None:
        with connect(serve(self.EARLY)).responses.create(model="any", input="Hello", stream=True) as stream:
            for event in stream:
                if event.type == "response.output_text.delta" and " so" in event.delta:
                    break
        assert contents(engine) == ["Likes tea"]

    def test_the_trace_is_finished_then_and_not_before(self, connect: Connect, serve: Serve) -> None:
        finished = []
        client = connect(serve(TEXT), on_exchange=finished.append)
        stream = client.chat.completions.create(model="any", messages=HELLO, stream=True)
        exchange = client.memory.last_exchange
        assert not exchange.finished
        assert finished == []
        list(stream)
        assert finished == [exchange]
        assert exchange.finished
        assert exchange.model_time > 0


def test_wrapping_streams_of_a_client_that_others_use_leaves_theirs_alone(
    serve: Serve, engine: Engine
) -> None:
    server = serve(TEXT)
    with CLIENTS["openai", False](server) as plain:
        client = with_memory(plain, "alice", memory=engine, strict=True)
        ours = client.chat.completions.create(model="any", messages=HELLO, stream=True)
        theirs = plain.chat.completions.create(model="any", messages=HELLO, stream=True)
        assert deltas(list(theirs)) == TEXT
        assert deltas(list(ours)) == "I see, tea it is."
        assert plain.chat.completions.create(model="any", messages=HELLO).choices[0].message.content == TEXT
