"""Finds what a model is to be shown."""

from collections.abc import Collection

from headroom.exchange import (
    CHOICE_CATEGORIES,
    CHOICE_MIN_SCORE,
    CHOICE_TOP_K,
    ExchangeOptions,
    asks_to_choose,
)
from headroom.memory.engine import Engine
from headroom.memory.model import Memory, MemoryCategory
from headroom.scope import Scope


def recall(engine: Engine, text: str, scope: Scope, options: ExchangeOptions) -> list[Memory]:
    """The memories to show with the user's message `text`, best first."""

    def search(
        top_k: int, min_score: float, categories: Collection[MemoryCategory | str] | None
    ) -> list[Memory]:
        return engine.search(
            text,
            scope.require_user(),
            scope.session_id,
            scope.agent_id,
            scope.turn_id,
            top_k=top_k,
            min_score=min_score,
            categories=categories,
        )

    config = engine.config
    top_k = options.top_k or config.top_k
    if options.min_score is not None:
        return search(top_k, options.min_score, options.categories)
    found = search(top_k, config.injection_min_score, options.categories)
    if not asks_to_choose(text):
        return found
    known = {memory.id for memory in found}
    categories = CHOICE_CATEGORIES.intersection(options.categories or CHOICE_CATEGORIES)
    preferred = search(CHOICE_TOP_K, CHOICE_MIN_SCORE, categories)
    return [*found, *(memory for memory in preferred if memory.id not in known)][:top_k]
