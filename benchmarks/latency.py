"""The specification's table of latencies, as measured: what remembering adds to a call.

    python benchmarks/latency.py [--others 100000 1000000] [--quick]

One user has 100, 1,000 or 10,000 memories, among 100,000 of other users (and, to compare, among none). The
user's memories are embedded by the bundled model; the vectors of the others are random, since their number is
all that could matter. Writes `results/latency.md` and `.json` beside this file.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

from measuring import RESULTS, Timing, machine, progress_bar, timed
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from workload import PreparedVectors, questions, statements

from headroom.memory import Engine, MemoryConfig
from headroom.memory.drafts import NewMemory
from headroom.memory.embedders import create_embedder
from headroom.prompting.injection import estimate_tokens, inject

SIZES = [100, 1_000, 10_000]
USERS_MEMORIES = 100
"""How many memories each of the others has."""

BLOCK = (
    '<memory>{"memories": [{"content": "Prefers Go for performance-critical services", "category": '
    '"preference", "importance": 0.8}, {"content": "Is building a billing microservice"}]}</memory>'
)
"""What a model typically appends when it has learned two things."""


@dataclass
class Samples:
    """Seconds that single calls took."""

    embed: list[float] = field(default_factory=list)
    inject: list[float] = field(default_factory=list)
    """A question asked for the first time: embedding, recall, and the text for the prompt."""
    recall: list[float] = field(default_factory=list)
    """The same question again: its vector is cached."""
    store: list[float] = field(default_factory=list)
    write: list[float] = field(default_factory=list)
    """Storing with an embedder that costs nothing."""


@dataclass(frozen=True)
class Row:
    """What was measured with so many memories of the user and of others."""

    memories: int
    others: int
    inject: Timing
    recall: Timing
    store: Timing
    write: Timing
    embed: Timing

    @classmethod
    def of(cls, memories: int, others: int, samples: Samples) -> "Row":
        """Sum samples up."""
        timings = {name: Timing.of(seconds) for name, seconds in asdict(samples).items()}
        return cls(memories, others, **timings)

    def share(self, operation: Timing) -> str:
        """How much of the operation is the embedding."""
        return f"{min(1.0, self.embed.p50 / operation.p50):.0%}"


def fill(path: Path, vectors: PreparedVectors, sizes: list[int], others: int, progress: Progress) -> None:
    """Write each size's user, and then the others."""
    texts = statements()

    def items() -> Iterator[NewMemory]:
        for size in sizes:
            for text in texts[:size]:
                yield {"content": text, "user_id": f"user with {size}"}
        for number in range(others):
            user, place = divmod(number, USERS_MEMORIES)
            yield {"content": texts[(user + place) % len(texts)], "user_id": f"other {user}"}

    total = sum(sizes) + others
    task = progress.add_task(f"storing {total:,} memories", total=total)
    rest = items()
    with Engine(MemoryConfig(db_path=path, embedder=vectors, durability="normal")) as engine:
        while batch := list(islice(rest, 1_000)):
            engine.add_many(batch)
            progress.advance(task, len(batch))


def measure(paths: dict[int, Path], vectors: PreparedVectors, size: int, repeats: int) -> list[Row]:
    """Ask and tell the user with `size` memories `repeats` times, among each crowd in turn."""
    user = f"user with {size}"
    samples = {crowd: Samples() for crowd in paths}
    with ExitStack() as stack:
        embedder = stack.enter_context(closing(create_embedder(MemoryConfig())))

        def opened(**settings: Any) -> dict[int, Engine]:
            configs = {crowd: MemoryConfig(db_path=path, **settings) for crowd, path in paths.items()}
            return {crowd: stack.enter_context(Engine(config)) for crowd, config in configs.items()}

        def ask(engine: Engine, question: str) -> None:
            found = engine.search(question, user, min_score=engine.config.injection_min_score)
            inject(found, engine.config.injection_token_budget)

        engines = opened()
        for engine in engines.values():
            ask(engine, "Which model, and which memories, are loaded first?")
        for number, question in enumerate(questions()[:repeats]):
            new = f"Noted {number} times that {question.lower()}"
            for crowd, engine in engines.items():
                taken = samples[crowd]
                taken.embed.append(timed(partial(embedder.embed, [question])))
                taken.inject.append(timed(partial(ask, engine, question)))
                taken.recall.append(timed(partial(engine.search, question, user)))
                taken.store.append(timed(partial(engine.add, new, user)))
        for number, (crowd, writer) in product(range(repeats), opened(embedder=vectors).items()):
            samples[crowd].write.append(timed(partial(writer.add, f"Written {number} times", user)))
    return [Row.of(size, crowd, taken) for crowd, taken in samples.items()]


def measure_cache_hit(repeats: int) -> Timing:
    """How long the vector of a question takes that was asked before."""
    asked = questions()[:100]
    with closing(create_embedder(MemoryConfig())) as embedder:
        for question in asked:
            embedder.embed_query(question)
        return Timing.of([timed(partial(embedder.embed_query, asked[n % 100])) for n in range(repeats * 10)])


def report(rows: list[Row], cache_hit: Timing, details: dict[str, str]) -> str:
    """The figures as Markdown."""
    crowd = min(row.others for row in rows if row.others)
    crowded = [row for row in rows if row.others == crowd]
    alone = {row.memories: row.recall.p50 for row in rows if not row.others}
    lines = [
        "# Latency",
        "",
        "Written by `benchmarks/latency.py`. Milliseconds, median (99th percentile).",
        "",
        f"## The specification's table, among {crowd:,} memories of other users",
        "",
        "| Operation | The user's memories | Measured | Of which embedding | Specification |",
        "|---|---|---|---|---|",
        *(
            f"| Memory injection | {row.memories:,} | {row.inject} | {row.share(row.inject)} | < 50 |"
            for row in crowded
        ),
        *(
            f"| Memory storage | {row.memories:,} | {row.store} | {row.share(row.store)} | < 10 |"
            for row in crowded
        ),
        f"| Cache hit | - | {cache_hit.p50:.4f} ({cache_hit.p99:.4f}) | - | < 1 |",
        f"| Memory extraction | - | +{estimate_tokens(BLOCK)} tokens | - | +50-100 tokens |",
        "",
        "The tokens are those of a block with two memories, estimated up to 25 % too high.",
        "",
        "## The engine alone, without the embedding",
        "",
        "| The user's memories | Others' | Recall | Relative to no others | Store (synchronous=FULL) |",
        "|---|---|---|---|---|",
        *(
            f"| {row.memories:,} | {row.others:,} | {row.recall} "
            f"| {row.recall.p50 / alone[row.memories]:.2f} | {row.write} |"
            for row in rows
        ),
        "",
        "## The machine",
        "",
        *(f"- {name}: {value}" for name, value in details.items()),
    ]
    return "\n".join(lines) + "\n"


def show(rows: list[Row], cache_hit: Timing) -> None:
    """Print the specification's four rows."""
    table = Table("Operation", "Measured", "Embedding", "Specification", title="Milliseconds: median (p99)")
    for row in rows:
        if row.others:
            of = f"with {row.memories:,} among {row.others:,}"
            table.add_row(f"Memory injection {of}", str(row.inject), row.share(row.inject), "< 50")
            table.add_row(f"Memory storage {of}", str(row.store), row.share(row.store), "< 10")
    table.add_row("Memory extraction", f"+{estimate_tokens(BLOCK)} tokens", "-", "+50-100 tokens")
    table.add_row("Cache hit", f"{cache_hit.p50:.4f} ({cache_hit.p99:.4f})", "-", "< 1")
    Console().print(table)


def main() -> None:
    """Measure, print, and write the results down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--others", type=int, nargs="+", default=[100_000], help="memories of other users (default: 100000)"
    )
    parser.add_argument("--quick", action="store_true", help="a small run that writes nothing down")
    options = parser.parse_args()
    sizes, others, repeats = ([100, 1_000], [2_000], 50) if options.quick else (SIZES, options.others, 500)

    vectors = PreparedVectors()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        with closing(create_embedder(MemoryConfig())) as embedder:
            texts = statements()[: max(sizes)]
            for text in progress.track(texts, description="embedding the user's memories"):
                vectors.known[text] = embedder.embed([text])[0]
        paths = {crowd: Path(folder) / f"{crowd}.db" for crowd in (0, *others)}
        for crowd, path in paths.items():
            fill(path, vectors, sizes, crowd, progress)
        os.sync()  # or the disk would still be busy with that
        for size in progress.track(sizes, description="measuring"):
            rows += measure(paths, vectors, size, repeats)
        cache_hit = measure_cache_hit(repeats)
    show(rows, cache_hit)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        details = machine()
        (RESULTS / "latency.md").write_text(report(rows, cache_hit, details), encoding="utf-8")
        figures = {"machine": details, "cache_hit": asdict(cache_hit), "rows": [asdict(row) for row in rows]}
        (RESULTS / "latency.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
