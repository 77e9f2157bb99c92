"""A stand-in for a chat model with a memory: it notes what the user says of themselves, and answers from it.

It is a handful of regular expressions over English sentences, enough for demonstrations. Like a real model it
knows only what is in the request: it notes things only where the system message asks for a memory block, and
what it "remembers" is what it was shown.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from headroom.testing.answers import Answer
from headroom.testing.requests import ReceivedRequest

Shown: TypeAlias = Mapping[str, str]
"""The memories shown to the model, by their handles."""

_END: Final = (
    r"(?=\s+(?:now|these days|from now on)\b|[.!?;,](?:\s|$)|\s+(?:and|but)\s+(?:i|we|my|our)\b|\s*$)"
)
_WHAT: Final = rf"(?P<what>\S.*?){_END}"


@dataclass(frozen=True, slots=True)
class _Statement:
    """Something worth noting: how the user says it, what is noted, and how the answer repeats it."""

    said: str
    noted: str
    repeated: str
    category: str = "fact"
    importance: float = 0.7
    scope: str = "user"
    replaces: str | None = None
    """How a memory begins that this makes outdated."""


_STATEMENTS: Final = (
    _Statement(rf"\bI prefer {_WHAT}", "Prefers {what}", "you prefer {what}", "preference", 0.8),
    _Statement(
        rf"\bI now prefer {_WHAT}",
        "Prefers {what}",
        "you now prefer {what}",
        "preference",
        0.8,
        replaces="Prefers",
    ),
    _Statement(rf"\bI (?:like|love) {_WHAT}", "Likes {what}", "you like {what}", "preference"),
    _Statement(
        rf"\bI (?:don't like|dislike|hate) {_WHAT}", "Dislikes {what}", "you dislike {what}", "preference"
    ),
    _Statement(
        rf"\b(?:my name is|call me) {_WHAT}",
        "Is called {what}",
        "you are called {what}",
        replaces="Is called",
    ),
    _Statement(rf"\b(?:I'm|I am) an? {_WHAT}", "Is a {what}", "you are a {what}"),
    _Statement(
        rf"\bI (?:now )?work (?:at|for) {_WHAT}", "Works at {what}", "you work at {what}", replaces="Works at"
    ),
    _Statement(
        rf"\bI (?:now )?live in {_WHAT}", "Lives in {what}", "you live in {what}", replaces="Lives in"
    ),
    _Statement(
        rf"\b(?:I'm|I am|we're|we are) (?P<doing>working on|building|migrating|writing|debugging) {_WHAT}",
        "Is {doing} {what}",
        "you are {doing} {what}",
        "context",
        scope="session",
    ),
    _Statement(
        rf"\b(?:I|we)(?:'ve| have)? (?:chose|chosen|decided on) {_WHAT}",
        "Chose {what}",
        "you chose {what}",
        "decision",
    ),
    _Statement(
        rf"\b(?:my|our) (?!name\b)(?P<who>\w[\w ]*?) is {_WHAT}",
        "The {who} is {what}",
        "your {who} is {what}",
        "entity",
        replaces="The {who} is",
    ),
)
_STATED: Final = [(re.compile(statement.said, re.IGNORECASE), statement) for statement in _STATEMENTS]

_SHOWN: Final = re.compile(r"<remembered\b[^>]*>\n(.*?)</remembered>\s*", re.DOTALL)
_SHOWN_LINE: Final = re.compile(r"^(m\d+) \([^)]*\): (.+)$", re.MULTILINE)
_FORGET: Final = re.compile(r"\bforget\b[^.!?\n]*", re.IGNORECASE)
_QUESTION: Final = re.compile(r"[^.!?\n]*\?")
_STEM: Final = re.compile(r"\b\w{4}")
_ASKS_FOR_ADVICE: Final = re.compile(r"\b(?:what|which|should|recommend|suggest)\b", re.IGNORECASE)
_PREFERENCE: Final = re.compile(r"Prefers (?P<choice>.+?)(?= (?:for|over|to|in|when)\b|$)", re.IGNORECASE)
_OF_THE_USER: Final = re.compile(r"\b(?:my|our)\b", re.IGNORECASE)
_VERBS: Final = {
    "Prefers": "you prefer",
    "Likes": "you like",
    "Dislikes": "you dislike",
    "Is": "you are",
    "Works": "you work",
    "Lives": "you live",
    "Chose": "you chose",
    "The": "your",
}

_NOTHING_KNOWN: Final = "I do not know that about you yet. Tell me, and I will remember it."
_STAND_IN: Final = (
    "I am a scripted stand-in for a language model: all I can talk about is what you tell me of yourself. "
    "Try “I prefer …”, “I work at …”, or “What do you know about me?”."
)


def remembering(request: ReceivedRequest) -> Answer:
    """A rule for `ScriptedServer` that imitates a chat model with a memory, for demonstrations and examples.

    It notes preferences, names, jobs, plans and decisions ("I prefer Python for backend work"), replaces what
    has changed ("I work at Globex now"), forgets on request, and answers from the memories that it is shown.
    """
    words, shown = _read(request.user_text)
    notes, repeated = _note(words, shown)
    forgotten = _forget(words, shown)
    if repeated:
        text = f"Got it: {_listed(repeated)}."
    elif forgotten:
        text = f"Forgotten: {_listed([_spoken(shown[handle]) for handle in forgotten])}."
    elif shown:
        text = _recollection(words, list(shown.values()))
    else:
        text = _NOTHING_KNOWN if "?" in words else _STAND_IN
    if "<memory>" in request.system_text and (notes or forgotten):
        text = f"{text}\n\n{memory_block(notes, forgotten)}"
    return Answer(text)


def memory_block(memories: Sequence[Mapping[str, Any] | str], forget: Sequence[str] = ()) -> str:
    """The block that a model appends to its answer, to have something remembered or forgotten."""
    operations = {"memories": list(memories), **({"forget": list(forget)} if forget else {})}
    return f"<memory>{json.dumps(operations, ensure_ascii=False)}</memory>"


def _read(text: str) -> tuple[str, Shown]:
    """The user's own words, and the memories shown before them."""
    if not (frame := _SHOWN.match(text)):
        return text, {}
    return text[frame.end() :], dict(_SHOWN_LINE.findall(frame[1]))


def _note(words: str, shown: Shown) -> tuple[list[dict[str, Any]], list[str]]:
    """What is worth noting and not remembered yet, and how the answer repeats what the user said."""
    notes: list[dict[str, Any]] = []
    repeated: list[str] = []
    stated = _QUESTION.sub("", _FORGET.sub("", words))
    for pattern, statement in _STATED:
        for found in pattern.finditer(stated):
            told = {name: _OF_THE_USER.sub("your", part) for name, part in found.groupdict().items()}
            repeated.append(statement.repeated.format(**told))
            meant = {name: _OF_THE_USER.sub("the", part) for name, part in found.groupdict().items()}
            note = {
                "content": statement.noted.format(**meant),
                "category": statement.category,
                "importance": statement.importance,
                "scope": statement.scope,
            }
            if statement.replaces is not None:
                beginning = statement.replaces.format(**meant)
                outdated = [handle for handle, memory in shown.items() if memory.startswith(beginning)]
                note |= {"replaces": outdated[0]} if outdated else {}
            if note["content"] not in shown.values():
                notes.append(note)
    return notes, repeated


def _forget(words: str, shown: Shown) -> list[str]:
    """The handles of what the user wants forgotten: the memories that share a longer word with the wish."""
    if not (wish := _FORGET.search(words)):
        return []
    wanted = set(_STEM.findall(wish[0].casefold()))
    return [handle for handle, memory in shown.items() if wanted & set(_STEM.findall(memory.casefold()))]


def _recollection(words: str, memories: Sequence[str]) -> str:
    preference = next(filter(None, map(_PREFERENCE.match, memories)), None)
    if preference and _ASKS_FOR_ADVICE.search(words) and "about me" not in words:
        return f"I would go with {preference['choice']}, since {_spoken(preference.string)}."
    return f"From what you told me before, {_listed([_spoken(memory) for memory in memories])}."


def _spoken(memory: str) -> str:
    """The memory as it is said to the user: "Prefers Go" becomes "you prefer Go"."""
    first, _, rest = memory.rstrip(".").partition(" ")
    return f"{_VERBS[first]} {rest}" if first in _VERBS else f"“{memory}”"


def _listed(clauses: Sequence[str]) -> str:
    *others, last = clauses
    return f"{', '.join(others)} and {last}" if others else last
