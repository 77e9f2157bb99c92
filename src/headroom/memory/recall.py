"""One recall: from a query's text to the memories that fit it."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np

from headroom.errors import InvalidInputError
from headroom.memory import ranking
from headroom.memory.model import Memory
from headroom.memory.stores.base import MemoryStore, RecallRequest

QUERY_LENGTH: Final = 1_000
"""How much of a query's end is looked at, in characters: about the 256 tokens the bundled model reads.

The end, because who pastes a document into a chat mostly asks the question after it."""

_LONG: Final = 100
"""From how many characters on a message has other things to say beside its point."""
_BREAK: Final = re.compile(r"(?<=[.!?…\u061f])\s+|(?<=[。！？])|\n")  # noqa: RUF001 - the full-width ones
_QUESTION_MARKS: Final = ("?", "？", "\u061f")  # noqa: RUF001
_WORD: Final = re.compile(r"[^\W_]")


def recall(store: MemoryStore, requests: Sequence[RecallRequest], min_score: float) -> list[Memory]:
    """The best of the store's candidates, best first, each with its score; what says the same only once.

    Several requests, equal but for their text and vector, look for the parts of one query.
    """
    asked = requests[0]
    candidates = store.candidates_of_each(requests)
    keys = np.concatenate([each.keys for each in candidates])
    wordings = np.concatenate([each.evidence.wordings for each in candidates])
    ranked = ranking.best_of(keys, [(each.evidence, ranking.rank(each.evidence)) for each in candidates])
    best = ranked.order[ranked.relevance[ranked.order] >= min_score]
    firsts = ranking.first_of_each(wordings[best].tolist())
    found: list[Memory] = []
    while page := list(islice(firsts, asked.top_k - len(found))):
        # One page is usually all: only what was removed meanwhile is missing.
        rows = best[page]
        scored = _scored(store, keys[rows].tolist(), ranked.relevance[rows].tolist())
        # In a backup that was restored this moment, the keys may be those of others' memories.
        found += [memory for memory in scored if memory.user_id == asked.scope.user_id]
    return found


def _scored(store: MemoryStore, keys: list[int], scores: list[float]) -> Iterator[Memory]:
    memories = store.load(keys)
    for key, score in zip(keys, scores, strict=True):
        if (memory := memories.get(key)) is not None:
            # Nobody else has it yet, and dataclasses.replace would be a tenth of the whole recall.
            object.__setattr__(memory, "score", score)
            yield memory


def check_query(query: str) -> tuple[str, ...]:
    """The parts of a query that are looked for: its end, and what may be its point among much else.

    That is the first sentence, the last, and the last question. In one vector of the whole, what is asked
    after a pasted log or a few words about the day is lost.

    Raises:
        InvalidInputError: there is nothing in it, or it is no string.
    """
    if not isinstance(query, str):
        raise InvalidInputError(f"query must be a string, not {type(query).__name__}")
    if not query.strip():
        raise InvalidInputError("query is blank; there is nothing to look for")
    # A chat message may hold half of a surrogate pair: that is no reason to remember nothing.
    text = query.strip()
    begin, end = (
        part.encode("utf-8", "replace").decode() for part in (text[:QUERY_LENGTH], text[-QUERY_LENGTH:])
    )
    if len(text) < _LONG:
        return (end,)
    sentences = _sentences(end)
    asked = [sentence for sentence in sentences if sentence.endswith(_QUESTION_MARKS)]
    first = _sentences(begin)[:-1][:1]  # not what goes on behind the beginning
    return tuple(dict.fromkeys([end, *first, *asked[-1:], *sentences[-1:]]))


def _sentences(text: str) -> list[str]:
    """Its sentences and lines, without those that have no word."""
    return [sentence for each in _BREAK.split(text) if _WORD.search(sentence := each.strip())]
