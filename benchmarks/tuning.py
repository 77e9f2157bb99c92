"""Tuning the ranking's weights on some questions and measuring them on others."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
from measuring import table
from numpy.typing import NDArray
from rich.progress import Progress

from headroom.memory.ranking import CandidateEvidence, Weights, rank

GRID = {
    "coverage": (0.6, 0.8, 1.0, 1.25, 1.5),
    "said_then": (0.0, 0.2, 0.35, 0.5, 0.75),
    "subject_asked": (0.0, 0.05, 0.1, 0.15, 0.2),
    "tells_when": (0.0, 0.05, 0.1, 0.15),
    "asks": (-0.2, -0.15, -0.1, -0.05, 0.0),
    "session": (0.0, 0.15, 0.3, 0.45),
}
"""What each weight may become. (Importance is equal throughout LoCoMo.)"""
ROUNDS = 2

Candidates = list[tuple[CandidateEvidence, NDArray[np.bool_], int]]
"""For each question the candidates, which of them are evidence, and how much evidence there is."""


def recall_with(weights: Weights, questions: Candidates) -> float:
    """Recall@10 over the questions, in percent."""
    shares = (gold[rank(found, weights).order[:10]].sum() / total for found, gold, total in questions)
    return 100 * fmean(shares)


def tuned(questions: Candidates, advance: Callable[[], None]) -> Weights:
    """The grid's best weights: from cosine and coverage alone, one weight changed at a time."""
    weights = Weights(**dict.fromkeys(GRID, 0.0) | {"coverage": 1.0})
    for _ in range(ROUNDS):
        for name, values in GRID.items():
            choices = [replace(weights, **{name: value}) for value in values]
            weights = max(choices, key=lambda choice: recall_with(choice, questions))
            advance()
    return weights


def left_out_table(names: Sequence[str], talks: Sequence[Candidates], progress: Progress) -> list[str]:
    """Markdown: for each conversation the weights tuned without it, and recall@10 on it."""
    task = progress.add_task("tuning", total=len(talks) * len(GRID) * ROUNDS)
    rows = []
    sums = np.zeros(3)
    for place, (name, questions) in enumerate(zip(names, talks, strict=True)):
        others = [question for other, talk in enumerate(talks) if other != place for question in talk]
        weights = tuned(others, lambda: progress.advance(task))
        recalls = recall_with(weights, questions), recall_with(Weights(), questions)
        sums += len(questions) * np.array([*recalls, 1])
        rows.append([name, *_values(weights), *(f"{recall:.1f}" for recall in recalls)])
    rows.append(
        ["all questions; as shipped", *_values(Weights()), *(f"{value:.1f}" for value in sums[:2] / sums[2])]
    )
    return table(["left out", *GRID, "recall@10, tuned without it", "recall@10, as shipped"], rows)


def signals_table(talks: Sequence[Candidates]) -> list[str]:
    """Markdown: how many points of recall@10 are lost without each signal."""
    questions = [question for talk in talks for question in talk]
    own_words = [(e._replace(window_coverage=e.coverage), *rest) for e, *rest in questions]
    own_vector = [(e._replace(window_cosine=e.cosine), *rest) for e, *rest in questions]
    recalls = {
        name: recall_with(replace(Weights(), **{name: 0.0}), questions) for name in GRID if name != "coverage"
    }
    recalls |= {
        "the neighbours' words": recall_with(Weights(), own_words),
        "the neighbours' vectors": recall_with(Weights(), own_vector),
    }
    whole = recall_with(Weights(), questions)
    return table(
        ["without", "points lost"], [[name, f"{whole - recall:.1f}"] for name, recall in recalls.items()]
    )


def _values(weights: Weights) -> list[str]:
    return [f"{getattr(weights, name):g}" for name in GRID]
