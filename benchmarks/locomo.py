"""How much of the evidence for a question is found: LoCoMo, each turn of a conversation one memory.

    python benchmarks/locomo.py PATH [--tune] [--no-write]

PATH is a LoCoMo file; each of its conversations is one user, with their sessions. Recall@k is the share of a
question's gold evidence turns among the first k results, averaged over the questions that have any. Beside
the engine, in the same run: vectors alone, BM25, and their reciprocal rank fusion. With --tune the weights
are tuned anew, each time on all conversations but one, and measured on that one; and each signal is left out
once. Writes `results/locomo.md` and `.svg` beside this file.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import numpy as np
from baselines import BM25, reciprocal_rank_fusion
from dialogues import CATEGORIES, Conversation, Question, conversations
from measuring import RESULTS, machine, progress_bar, table
from numpy.typing import NDArray
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress
from tuning import Candidates, left_out_table, signals_table

from headroom.memory import Engine, MemoryConfig
from headroom.memory.embedders import create_embedder
from headroom.memory.ranking import CandidateEvidence
from headroom.memory.stores.base import RecallRequest
from headroom.memory.stores.sqlite import SqliteStore
from headroom.prompting.injection import inject
from headroom.scope import Scope

OURS = "Headroom"
METHODS = ("vectors", "BM25", "reciprocal rank fusion", OURS)
DEPTHS = (5, 10, 25)


@dataclass(frozen=True)
class Answer:
    """What was found for a question."""

    question: Question
    found: dict[str, list[str]]
    """By method the names of the turns, best first."""
    injected: list[str]
    """The turns that the defaults would put into the prompt."""
    tokens: int
    """About how many tokens that would be."""

    def recall(self, method: str, depth: int) -> float:
        """The share of the evidence among the first `depth`."""
        gold = self.question.gold
        return len(gold.intersection(self.found[method][:depth])) / len(gold)

    def reciprocal_rank(self, method: str) -> float:
        """Of the first piece of evidence; 0 where none was found."""
        ranks = (place for place, name in enumerate(self.found[method], 1) if name in self.question.gold)
        return 1 / next(ranks, np.inf)


class Archive:
    """All conversations in one engine."""

    def __init__(self, talks: Sequence[Conversation], folder: str, progress: Progress) -> None:
        self.talks = talks
        self.progress = progress
        self.config = MemoryConfig(db_path=Path(folder) / "memory.db")
        self.embedder = create_embedder(self.config)
        self.engine = Engine(self.config)
        self.names: dict[str, str] = {}
        """The turn behind each memory; of equal turns, which are one memory, the first."""
        for talk in self._with_progress("storing", talks, [len(talk.turns) for talk in talks]):
            stored = self.engine.add_many(talk.turns.values())
            for name, memory in zip(talk.turns, stored, strict=True):
                self.names.setdefault(memory.id, name)

    def close(self) -> None:
        """Close the engine and the embedder."""
        self.engine.close()
        self.embedder.close()

    def vector(self, text: str) -> NDArray[np.float32]:
        """The embedding of a text, as the engine makes it."""
        return self.embedder.embed([text])[0]

    def answers(self) -> Iterator[Answer]:
        """Ask every question of every conversation, in every way."""
        for talk in self._with_progress("asking", self.talks, [len(talk.questions) for talk in self.talks]):
            names = list(talk.turns)
            texts = [turn["content"] for turn in talk.turns.values()]
            vectors = np.array([self.vector(text) for text in texts])
            words = BM25(texts)
            for question in talk.questions:
                dense, lexical = vectors @ self.vector(question.text), words.scores(question.text)
                scores = (dense, lexical, reciprocal_rank_fusion(dense, lexical))
                orders = [np.argsort(-score, kind="stable")[: max(DEPTHS)] for score in scores]
                found = [[names[place] for place in order] for order in orders]
                yield self._answer(talk, question, dict(zip(METHODS, found, strict=False)))

    def _answer(self, talk: Conversation, question: Question, found: dict[str, list[str]]) -> Answer:
        memories = self.engine.search(
            question.text, talk.name, top_k=max(DEPTHS), min_score=0, all_sessions=True
        )
        found[OURS] = [self.names[memory.id] for memory in memories]
        fitting = self.engine.search(
            question.text, talk.name, min_score=self.config.injection_min_score, all_sessions=True
        )
        injection = inject(fitting, self.config.injection_token_budget)
        injected = [self.names[memory.id] for memory in injection.shown.values()]
        return Answer(question, found, injected, injection.tokens)

    def candidates(self) -> list[Candidates]:
        """Of each conversation, for each question what the store gives to the ranking."""
        store = SqliteStore(self.config, self.embedder.name)
        try:
            return [
                [self._candidates(store, talk, question) for question in talk.questions]
                for talk in self._with_progress(
                    "gathering", self.talks, [len(talk.questions) for talk in self.talks]
                )
            ]
        finally:
            store.close()

    def _candidates(
        self, store: SqliteStore, talk: Conversation, question: Question
    ) -> tuple[CandidateEvidence, NDArray[np.bool_], int]:
        request = RecallRequest(
            scope=Scope(talk.name),
            vector=self.vector(question.text),
            text=question.text,
            now=datetime.now(UTC),
            all_sessions=True,
        )
        found = store.candidates(request)
        keys = found.keys.tolist()
        memories = store.load(keys)
        gold = np.array([self.names[memories[key].id] in question.gold for key in keys])
        return found.evidence, gold, len(question.gold)

    def _with_progress(
        self, doing: str, talks: Sequence[Conversation], sizes: Sequence[int]
    ) -> Iterator[Conversation]:
        task = self.progress.add_task(doing, total=sum(sizes))
        for talk, size in zip(talks, sizes, strict=True):
            yield talk
            self.progress.advance(task, size)


def percent(values: Sequence[float]) -> str:
    """Their mean."""
    return f"{100 * fmean(values):.1f}" if values else ""


def recall_table(answers: Sequence[Answer]) -> list[str]:
    """Markdown: each method's recall at each depth, and its mean reciprocal rank."""
    rows = [
        [
            f"**{method}**" if method == OURS else method,
            *(percent([answer.recall(method, depth) for answer in answers]) for depth in DEPTHS),
            percent([answer.reciprocal_rank(method) for answer in answers]),
        ]
        for method in METHODS
    ]
    return table(["all questions, %", *(f"recall@{depth}" for depth in DEPTHS), "MRR"], rows)


def category_recalls(answers: Sequence[Answer], method: str, depth: int = 10) -> list[str]:
    """The recall for each category."""
    return [
        percent([answer.recall(method, depth) for answer in answers if answer.question.category == category])
        for category in CATEGORIES
    ]


def report(answers: Sequence[Answer], archive: Archive) -> list[str]:
    """Markdown: everything but the tuning."""
    by_category = [[method, *category_recalls(answers, method)] for method in METHODS]
    by_category += [
        [f"{OURS}, @{depth}", *category_recalls(answers, OURS, depth)] for depth in DEPTHS if depth != 10
    ]
    by_talk = [
        [
            talk.name,
            str(len(talk.turns)),
            str(len(talk.questions)),
            *(
                percent([a.recall(method, 10) for a in answers if a.question in talk.questions])
                for method in METHODS
            ),
        ]
        for talk in archive.talks
    ]
    return [
        *recall_table(answers),
        "",
        *table(["recall@10, %", *CATEGORIES.values()], by_category),
        "",
        *table(["recall@10, %", "turns", "questions", *METHODS], by_talk),
        "",
        *injection_table(answers, archive.config),
    ]


def injection_table(answers: Sequence[Answer], config: MemoryConfig) -> list[str]:
    """Markdown: what the defaults would put into the prompt."""
    shown = [len(answer.question.gold.intersection(answer.injected)) for answer in answers]
    gold = [len(answer.question.gold) for answer in answers]
    lengths = [len(answer.injected) for answer in answers]
    limits = (
        f"score ≥ {config.injection_min_score:g}, ≤ {config.top_k}, ≤ {config.injection_token_budget} tokens"
    )
    rows = [
        ["memories a question", f"{fmean(lengths):.1f}"],
        ["tokens a question", f"{fmean(answer.tokens for answer in answers):.0f}"],
        ["pieces of evidence a question has", f"{fmean(gold):.1f}"],
        ["precision: memories that are evidence, %", f"{100 * sum(shown) / max(sum(lengths), 1):.1f}"],
        ["evidence that is injected, %", percent([n / all_ for n, all_ in zip(shown, gold, strict=True)])],
        ["questions with some evidence injected, %", percent([float(n > 0) for n in shown])],
    ]
    return table([f"injected at the defaults ({limits})", "measured"], rows)


def plot(answers: Sequence[Answer], path: Path) -> None:
    """Bars of recall@10 for each category and method."""
    import matplotlib as mpl  # noqa: PLC0415 - only a run that writes draws

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "headroom"})
    from matplotlib import pyplot as plt  # noqa: PLC0415

    groups = ["all", *CATEGORIES.values()]
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for place, (method, colour) in enumerate(
        zip(METHODS, ("#9ca3af", "#d97706", "#a78bfa", "#2563eb"), strict=True)
    ):
        heights = [float(percent([answer.recall(method, 10) for answer in answers]))]
        heights += [float(text or "nan") for text in category_recalls(answers, method)]
        bars = axes.bar(
            np.arange(len(groups)) + 0.2 * (place - 1.5), heights, 0.19, label=method, color=colour
        )
        axes.bar_label(bars, fmt="%.0f", fontsize=7, color="#374151")
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel("evidence recall@10, %")
    axes.set_ylim(0, 105)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, print, and write the results down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, metavar="PATH")
    parser.add_argument(
        "--tune", action="store_true", help="also tune the weights, leaving one conversation out"
    )
    parser.add_argument("--no-write", action="store_true", help="only print")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        archive = Archive(conversations(options.path), folder, progress)
        try:
            answers = list(archive.answers())
            lines = [
                "# Finding evidence: LoCoMo",
                "",
                "Written by `benchmarks/locomo.py`.",
                "",
                "![Plot](locomo.svg)",
                "",
            ]
            lines += report(answers, archive)
            if options.tune:
                candidates = archive.candidates()
                names = [talk.name for talk in archive.talks]
                lines += ["", "## Weights tuned without the conversation they are measured on", ""]
                lines += left_out_table(names, candidates, progress)
                lines += ["", "## Without one signal", "", *signals_table(candidates)]
        finally:
            archive.close()
    lines += ["", "## The machine", "", *(f"- {name}: {value}" for name, value in machine().items())]
    Console().print(Markdown("\n".join(lines)))
    if not options.no_write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "locomo.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        plot(answers, RESULTS / "locomo.svg")


if __name__ == "__main__":
    main()
