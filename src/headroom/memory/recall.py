"""One recall: from a query's text to the memories that fit it."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from headroom.errors import InvalidInputError
from headroom.memory import ranking
from headroom.memory.model import Memory
from headroom.memory.stores.base import MemoryStore, RecallRequest

QUERY_LENGTH: Final = 1_000
"""How much of a query's end is looked at, in characters: about the 256 tokens the bundled model reads.

The end, because who pastes a document into a chat asks the question after it."""


def recall(store: MemoryStore, request: RecallRequest, min_score: float) -> list[Memory]:
    """The best of the store's candidates, best first, each with its score; what says the same only once."""
    candidates = store.candidates(request)
    ranked = ranking.rank(candidates.evidence)
    best = ranked.order[ranked.relevance[ranked.order] >= min_score]
    firsts = ranking.first_of_each(candidates.evidence.wordings[best].tolist())
    found: list[Memory] = []
    while page := list(islice(firsts, request.top_k - len(found))):
        # One page is usually all: only what was removed meanwhile is missing.
        rows = best[page]
        scored = _scored(store, candidates.keys[rows].tolist(), ranked.relevance[rows].tolist())
        # In a backup that was restored this moment, the keys may be those of others' memories.
        found += [memory for memory in scored if memory.user_id == request.scope.user_id]
    return found


def _scored(store: MemoryStore, keys: list[int], scores: list[float]) -> Iterator[Memory]:
    memories = store.load(keys)
    for key, score in zip(keys, scores, strict=True):
        if (memory := memories.get(key)) is not None:
            # Nobody else has it yet, and dataclasses.replace would be a tenth of the whole recall.
            object.__setattr__(memory, "score", score)
            yield memory


def check_query(query: str) -> str:
    """The part of a query that is looked at.

    Raises:
        InvalidInputError: there is nothing in it, or it is no string.
    """
    if not isinstance(query, str):
        raise InvalidInputError(f"query must be a string, not {type(query).__name__}")
    if not query.strip():
        raise InvalidInputError("query is blank; there is nothing to look for")
    # A chat message may hold half of a surrogate pair: that is no reason to remember nothing.
    return query.strip()[-QUERY_LENGTH:].encode("utf-8", "replace").decode()
