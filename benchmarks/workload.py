"""What the benchmarks store and ask: synthetic but sensible sentences, and vectors that cost nothing."""

import random
from itertools import product

import numpy as np
from numpy.typing import NDArray

from headroom.memory.config import BUNDLED_DIMENSION
from headroom.memory.embedders.bundled import NAME as BUNDLED_NAME

ATTITUDES = (
    "Prefers", "Dislikes", "Has years of experience with", "Is learning", "Decided against",
    "Is evaluating", "Recommends", "Migrated away from", "Wrote the team's guide to", "Is paid to maintain",
)  # fmt: skip
THINGS = (
    "Python", "Go", "Rust", "TypeScript", "PostgreSQL", "SQLite", "Kafka", "Redis", "Kubernetes",
    "Terraform", "React", "Django", "gRPC", "GraphQL", "Elixir", "Haskell", "MongoDB", "Airflow", "Spark",
    "Vim", "Emacs", "dark mode", "pair programming", "remote work", "trunk-based development",
    "feature flags", "code review", "green tea", "espresso", "cycling", "chess", "jazz", "sourdough",
    "climbing", "photography", "sailing", "board games", "gardening", "podcasts", "night trains",
)  # fmt: skip
OCCASIONS = (
    "for backend work", "at the fintech startup", "on project Apollo", "with Sarah's team",
    "for prototypes", "in the data pipeline", "for the mobile app", "on weekends", "in winter",
    "since moving to Lisbon", "for performance-critical code", "in interviews", "with the interns",
    "for the billing service", "during on-call weeks", "in the monorepo", "at conferences",
    "for side projects", "with clients", "in the mornings", "after the reorganisation", "for reporting",
    "on long flights", "with the family", "in code katas",
)  # fmt: skip
REASONS = (
    "", "because it is quick", "out of habit", "after long debates", "on Ahmed's advice", "to save money",
    "for the sake of privacy", "until the audit in June", "despite the deadlines", "since the outage",
)  # fmt: skip


def statements() -> list[str]:
    """100,000 different things to know about somebody, in random order."""
    texts = [" ".join(words).strip() for words in product(ATTITUDES, THINGS, OCCASIONS, REASONS)]
    random.Random(0).shuffle(texts)
    return texts


def questions() -> list[str]:
    """1,000 different things to ask, in random order."""
    texts = [
        f"What should I think about {thing} {occasion}?" for thing, occasion in product(THINGS, OCCASIONS)
    ]
    random.Random(1).shuffle(texts)
    return texts


class PreparedVectors:
    """An embedder that costs nothing: the bundled model's vectors where they are known, else random ones."""

    name = BUNDLED_NAME
    dimension = BUNDLED_DIMENSION

    def __init__(self) -> None:
        self.known: dict[str, NDArray[np.float32]] = {}
        self._random = np.random.default_rng(0)

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """One row per text, shape (n, dimension)."""
        rows = self._random.standard_normal((len(texts), self.dimension), dtype=np.float32)
        for place, text in enumerate(texts):
            if (vector := self.known.get(text)) is not None:
                rows[place] = vector
        return rows
