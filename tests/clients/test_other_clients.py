"""Anything with `chat.completions.create` can remember, whatever its objects are made of."""

import gc
import json
import time
from collections import UserDict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, Self

import pytest
from asking import block, deltas, user

from headroom import with_memory
from headroom.memory import Engine, MemoryFilter

HELLO = {"model": "any", "messages": user("Hello there")}
TEXT = f"I see.\n\n{block('Likes tea')}"
PIECES = ["I", " see", ".\n", "\n<mem", "ory>", *block("Likes tea")[8:], ""]


@dataclass
class Message:
    content: str | None
    role: str = "assistant"


@dataclass
class Choice:
    message: Message | None = None
    delta: Message | None = None
    index: int = 0
    finish_reason: str | None = None


@dataclass
class Completion:
    choices: list[Choice]
    usage: Any = None


def completion() -> Completion:
    return Completion([Choice(message=Message(TEXT), finish_reason="stop")])


def chunks() -> Iterator[Completion]:
    for piece in PIECES:
        yield Completion([Choice(delta=Message(piece))])
    yield Completion([Choice(delta=Message(None), finish_reason="stop")])


@dataclass
class Client:
    """A client whose answers are made by `answer`, and which keeps what it was asked."""

    answer: Callable[..., Any]
    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def chat(self) -> Any:
        return SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **parameters: Any) -> Any:
        self.asked.append(parameters)
        return self.answer(**parameters)


class AsyncClient(Client):
    async def create(self, **parameters: Any) -> Any:  # type: ignore[override]
        return super().create(**parameters)


def stored(engine: Engine) -> list[str]:
    return [memory.content for memory in engine.query(MemoryFilter(user_id="alice"))]


def test_answers_that_are_objects(engine: Engine) -> None:
    client = with_memory(Client(lambda **_: completion()), "alice", memory=engine, strict=True)
    answer = client.chat.completions.create(**HELLO)
    assert isinstance(answer, Completion)
    assert answer.choices[0].message.content == "I see."
    assert stored(engine) == ["Likes tea"]
    assert "<memory>" in client.asked[0]["messages"][0]["content"]


def test_answers_that_are_dictionaries(engine: Engine) -> None:
    answer = {"choices": [{"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}]}
    client = with_memory(Client(lambda **_: answer), "alice", memory=engine, strict=True)
    assert client.chat.completions.create(**HELLO)["choices"][0]["message"]["content"] == "I see."
    assert stored(engine) == ["Likes tea"]


class Both(dict[str, Any]):
    """Has its fields as attributes and, in copies, as items: as the objects of Hugging Face's client do."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(json.loads(json.dumps(fields)))
        self.__dict__.update(fields)


def both(name: str, content: str, reason: str | None = None) -> Any:
    return Both(choices=[Both(**{name: Both(content=content)}, index=0, finish_reason=reason)])


def test_answers_that_are_objects_and_dictionaries(engine: Engine) -> None:
    client = with_memory(
        Client(lambda **_: both("message", TEXT, "stop")), "alice", memory=engine, strict=True
    )
    answer = client.chat.completions.create(**HELLO)
    assert answer.choices[0].message.content == "I see."
    assert answer.choices[0]["message"]["content"] == "I see."
    assert answer["choices"][0]["message"]["content"] == "I see."
    assert stored(engine) == ["Likes tea"]


def test_streams_of_objects_that_are_dictionaries(engine: Engine) -> None:
    events = [both("delta", piece) for piece in [*PIECES, " A <"]] + [both("delta", "", "stop")]
    client = with_memory(Client(lambda **_: iter(events)), "alice", memory=engine, strict=True)
    read = list(client.chat.completions.create(**HELLO, stream=True))
    assert deltas(read) == "I see.\n\nA <"
    assert "".join(event["choices"][0]["delta"]["content"] for event in read) == "I see.\n\nA <"
    assert read[-1].choices[0].finish_reason == "stop"
    assert {type(event) for event in read} == {Both}
    assert stored(engine) == ["Likes tea"]


@pytest.mark.parametrize("kind", [dict, UserDict, MappingProxyType])
def test_messages_may_be_mappings_of_any_kind(engine: Engine, kind: Callable[[Any], Any]) -> None:
    client = with_memory(Client(lambda **_: completion()), "alice", memory=engine, strict=True)
    messages = [kind({"role": "system", "content": "Be kind."}), *user("Hello there")]
    client.chat.completions.create(model="any", messages=messages)
    assert client.__wrapped__.asked[0]["messages"][0]["content"].startswith("Be kind.\n\nYou have")
    assert messages[0]["content"] == "Be kind."


def test_answers_that_are_neither_pass(engine: Engine) -> None:
    client = with_memory(Client(lambda **_: "text"), "alice", memory=engine, strict=True)
    assert client.chat.completions.create(**HELLO) == "text"


def test_positional_arguments_pass(engine: Engine) -> None:
    client = with_memory(
        SimpleNamespace(
            chat=SimpleNamespace(completions=SimpleNamespace(create=lambda *args, **kwargs: (args, kwargs)))
        ),
        "alice",
        memory=engine,
        strict=True,
    )
    assert client.chat.completions.create("model", user("Hello")) == (("model", user("Hello")), {})


def test_streams_that_are_generators(engine: Engine) -> None:
    client = with_memory(Client(lambda **_: chunks()), "alice", memory=engine, strict=True)
    stream = client.chat.completions.create(**HELLO, stream=True)
    read = list(stream)
    assert deltas(read) == "I see."
    assert read[-1].choices[0].finish_reason == "stop"
    assert stored(engine) == ["Likes tea"]
    assert list(stream) == []


def test_streams_that_are_lists_of_dictionaries(engine: Engine) -> None:
    events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in [*PIECES, " <m"]]
    client = with_memory(Client(lambda **_: events), "alice", memory=engine, strict=True)
    read = list(client.chat.completions.create(**HELLO, stream=True))
    assert "".join(event["choices"][0]["delta"]["content"] for event in read) == "I see."
    assert stored(engine) == ["Likes tea"]


def test_what_is_held_back_at_the_end_of_a_stream_is_delivered(engine: Engine) -> None:
    client = with_memory(
        Client(lambda **_: iter([Completion([Choice(delta=Message("So a ``"))], usage=3)])),
        "alice",
        memory=engine,
    )
    first, last = client.chat.completions.create(**HELLO, stream=True)
    assert first.choices[0].delta.content == "So a"
    assert last.choices[0].delta.content == " ``"
    assert (first.usage, last.usage) == (3, None)


def spoken(reason: str | None = None, **parts: Any) -> SimpleNamespace:
    logprobs = parts.pop("logprobs", None)
    delta = SimpleNamespace(**{"content": None, "reasoning_content": None, "tool_calls": None, **parts})
    choice = SimpleNamespace(index=0, delta=delta, finish_reason=reason, logprobs=logprobs)
    return SimpleNamespace(choices=[choice])


def test_what_is_held_back_comes_without_the_other_parts_of_its_chunk(engine: Engine) -> None:
    events = [
        spoken(reasoning_content="The user greets me."),
        spoken(reasoning_content="\n"),
        spoken(content="Hello"),
        spoken(content=" <", tool_calls=["call"]),
        spoken(reason="stop"),
    ]
    client = with_memory(Client(lambda **_: iter(events)), "alice", memory=engine, strict=True)
    read = [chunk.choices[0].delta for chunk in client.chat.completions.create(**HELLO, stream=True)]
    assert "".join(delta.reasoning_content or "" for delta in read) == "The user greets me.\n"
    assert "".join(delta.content or "" for delta in read) == "Hello <"
    assert [delta.tool_calls for delta in read if delta.tool_calls] == [["call"]]


def test_what_is_held_back_has_its_tokens_in_objects_of_their_kind(engine: Engine) -> None:
    def tokens(*texts: str) -> SimpleNamespace:
        return SimpleNamespace(content=[SimpleNamespace(token=text) for text in texts])

    events = [
        spoken(content="A", logprobs=tokens("A")),
        spoken(content=" <", logprobs=tokens(" <")),
        spoken(tool_calls=["call"]),
        spoken(reason="stop"),
    ]
    client = with_memory(Client(lambda **_: iter(events)), "alice", memory=engine, strict=True)
    read = [chunk.choices[0] for chunk in client.chat.completions.create(**HELLO, stream=True)]
    texts = [(choice.delta.content or "", choice.logprobs and choice.logprobs.content) for choice in read]
    assert [text for text, _ in texts] == ["A", "", "", " <", ""]
    assert [token.token for _, held in texts for token in held or ()] == ["A", " <"]


@pytest.mark.parametrize("way", ["close", "with", "drop", "fail"])
def test_streams_that_end_early(engine: Engine, way: str) -> None:
    def pieces(**_: Any) -> Iterator[Completion]:
        yield from list(chunks())[:-1]
        yield Completion([Choice(delta=Message(" More."))])
        if way == "fail":
            raise ZeroDivisionError
        yield from chunks()

    client = with_memory(Client(pieces), "alice", memory=engine, strict=True)
    stream = client.chat.completions.create(**HELLO, stream=True)

    def read() -> None:
        while "More" not in deltas([next(stream)]):
            pass

    if way == "with":
        with stream as same:
            assert same is stream
            read()
    else:
        read()
    if way == "close":
        stream.close()
    if way == "fail":
        with pytest.raises(ZeroDivisionError):
            next(stream)
    if way == "drop":
        del stream
        gc.collect()
        deadline = time.monotonic() + 10
        while not stored(engine) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert stored(engine) == ["Likes tea"]


class Managed:
    """A stream with everything that a stream may have."""

    def __init__(self) -> None:
        self.events = chunks()
        self.happened: list[str] = []

    def __iter__(self) -> Iterator[Completion]:
        return self.events

    def __enter__(self) -> Self:
        self.happened.append("entered")
        return self

    def __exit__(self, *_: object) -> None:
        self.happened.append("left")

    def close(self) -> None:
        self.happened.append("closed")

    async def __aiter__(self) -> AsyncIterator[Completion]:
        for event in self.events:
            yield event

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


def test_a_stream_keeps_what_it_has(engine: Engine) -> None:
    managed = Managed()
    client = with_memory(Client(lambda **_: managed), "alice", memory=engine, strict=True)
    with client.chat.completions.create(**HELLO, stream=True) as stream:
        assert deltas(list(stream)) == "I see."
        stream.close()
        assert stream.happened is managed.happened
    assert managed.happened == ["entered", "closed", "left"]


@pytest.mark.anyio
async def test_asynchronous_answers(engine: Engine) -> None:
    client = with_memory(AsyncClient(lambda **_: completion()), "alice", memory=engine, strict=True)
    answer = await client.chat.completions.create(**HELLO)
    assert answer.choices[0].message.content == "I see."
    assert [memory.content for memory in await client.memory.get_all()] == ["Likes tea"]


@pytest.mark.anyio
async def test_asynchronous_streams(engine: Engine) -> None:
    async def events() -> AsyncIterator[Completion]:
        for chunk in chunks():
            yield chunk

    client = with_memory(AsyncClient(lambda **_: events()), "alice", memory=engine, strict=True)
    stream = await client.chat.completions.create(**HELLO, stream=True)
    assert deltas([chunk async for chunk in stream]) == "I see."
    assert stored(engine) == ["Likes tea"]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["with", "close", "aclose", "fail"])
async def test_asynchronous_streams_that_end_early(engine: Engine, way: str) -> None:
    async def events() -> AsyncIterator[Completion]:
        for chunk in list(chunks())[:-1]:
            yield chunk
        yield Completion([Choice(delta=Message(" More."))])
        raise ZeroDivisionError

    source = Managed() if way == "with" else events()
    client = with_memory(AsyncClient(lambda **_: source), "alice", memory=engine, strict=True)
    stream = await client.chat.completions.create(**HELLO, stream=True)
    if way == "with":
        async with stream as same:
            assert same is stream
            assert deltas([chunk async for chunk in stream]) == "I see."
        await stream.close()
        assert source.happened == ["entered", "left", "closed"]
    else:
        while "More" not in deltas([await anext(stream)]):
            pass
        if way == "fail":
            with pytest.raises(ZeroDivisionError):
                await anext(stream)
        else:
            await getattr(stream, way)()
    assert stored(engine) == ["Likes tea"]


@pytest.mark.anyio
async def test_a_client_that_does_not_say_that_it_is_asynchronous(engine: Engine) -> None:
    async def answer() -> Completion:
        return completion()

    client = with_memory(Client(lambda **_: answer()), "alice", memory=engine, strict=True)
    assert (await client.chat.completions.create(**HELLO)).choices[0].message.content == "I see."
    assert stored(engine) == ["Likes tea"]


def test_a_client_with_the_responses_api_alone(engine: Engine) -> None:
    part = {"type": "output_text", "text": TEXT}
    answer = {"output": [{"type": "message", "content": [part]}], "output_text": TEXT}
    client = with_memory(
        SimpleNamespace(responses=SimpleNamespace(create=lambda **_: answer)),
        "alice",
        memory=engine,
        strict=True,
    )
    assert client.responses.create(model="any", input="Hello")["output_text"] == "I see."
    assert part["text"] == "I see."
    assert stored(engine) == ["Likes tea"]


def test_an_answer_that_cannot_be_changed_arrives_as_it_is(engine: Engine) -> None:
    @dataclass(frozen=True)
    class Frozen:
        content: str = TEXT

    answer = Completion([Choice(message=Frozen(), finish_reason="stop")])  # type: ignore[arg-type]
    client = with_memory(Client(lambda **_: answer), "alice", memory=engine)
    assert client.chat.completions.create(**HELLO) is answer
    assert client.memory.failures == 1
