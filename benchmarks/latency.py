"""The specification's table of latencies, as measured: what remembering adds to a call.

    python benchmarks/latency.py [--others 1000000] [--quick]

One user has 100, 1,000 or 10,000 memories, among 100,000 of other users (and, to compare, among none). The
user's memories are embedded by the bundled model; the vectors of the others are random, since their number is
all that could matter. Writes `results/latency.md` and `.json` beside this file.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median

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


@dataclass(frozen=True)
class Row:
    """What was measured with so many memories of the user and of others."""

    memories: int
    others: int
    inject: Timing
    inject_embedding_share: float
    recall: Timing
    store: Timing
    store_embedding_share: float
    write: Timing


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


def measure(path: Path, vectors: PreparedVectors, size: int, others: int, repeats: int) -> Row:
    """Ask and tell the user with `size` memories `repeats` times."""
    user = f"user with {size}"
    embedding, injecting, recalling, storing, embedding_new, writing = ([] for _ in range(6))
    config = MemoryConfig(db_path=path)
    embedder = create_embedder(config)
    with Engine(config) as engine:

        def ask(question: str) -> None:
            found = engine.search(question, user, min_score=config.injection_min_score)
            inject(found, config.injection_token_budget)

        ask("Which model, and which memories, are loaded first?")
        embedder.embed(["So is this one."])
        for number, question in enumerate(questions()[:repeats]):
            new = f"Noted {number} times that {question.lower()}"
            embedding.append(timed(lambda: embedder.embed([question])))  # noqa: B023 - called at once
            injecting.append(timed(lambda: ask(question)))  # noqa: B023
            recalling.append(timed(lambda: engine.search(question, user)))  # noqa: B023 - its vector is cached now
            embedding_new.append(timed(lambda: embedder.embed([new])))  # noqa: B023
            storing.append(timed(lambda: engine.add(new, user)))  # noqa: B023
    embedder.close()
    with Engine(MemoryConfig(db_path=path, embedder=vectors)) as engine:
        for number in range(repeats):
            writing.append(timed(lambda: engine.add(f"Written {number}", user)))  # noqa: B023
    return Row(
        size,
        others,
        inject=Timing.of(injecting),
        inject_embedding_share=median(embedding) / median(injecting),
        recall=Timing.of(recalling),
        store=Timing.of(storing),
        store_embedding_share=median(embedding_new) / median(storing),
        write=Timing.of(writing),
    )


def measure_cache_hit(repeats: int) -> Timing:
    """How long the vector of a question takes that was asked before."""
    embedder = create_embedder(MemoryConfig())
    asked = questions()[:100]
    for question in asked:
        embedder.embed_query(question)
    hits = [timed(lambda: embedder.embed_query(asked[n % 100])) for n in range(repeats * 10)]  # noqa: B023
    embedder.close()
    return Timing.of(hits)


def report(rows: list[Row], cache_hit: Timing, details: dict[str, str]) -> str:
    """The figures as Markdown."""
    others = max(row.others for row in rows)
    lines = [
        "# Latency",
        "",
        "Written by `benchmarks/latency.py`. Milliseconds, median (99th percentile).",
        "",
        f"## The specification's table, among {others:,} memories of other users",
        "",
        "| Operation | The user's memories | Measured | Of which embedding | Specification |",
        "|---|---|---|---|---|",
    ]
    crowded = [row for row in rows if row.others == others]
    lines += [
        f"| Memory injection | {row.memories:,} | {row.inject} | {row.inject_embedding_share:.0%} | < 50 |"
        for row in crowded
    ]
    lines += [
        f"| Memory storage | {row.memories:,} | {row.store} | {row.store_embedding_share:.0%} | < 10 |"
        for row in crowded
    ]
    lines += [
        f"| Cache hit | - | {cache_hit.p50:.4f} ({cache_hit.p99:.4f}) | - | < 1 |",
        f"| Memory extraction | - | +{estimate_tokens(BLOCK)} tokens | - | +50-100 tokens |",
        "",
        "The tokens are those of a block with two memories, estimated up to 25 % too high.",
        "",
        "## The engine alone, without the embedding",
        "",
        "| The user's memories | Others' | Recall | Store (synchronous=FULL) |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.memories:,} | {row.others:,} | {row.recall} | {row.write} |" for row in rows]
    lines += ["", f"Recall among {others:,} others, relative to none:"]
    for row in crowded:
        alone = next(other for other in rows if other.memories == row.memories and not other.others)
        lines.append(f"{row.memories:,} memories {row.recall.p50 / alone.recall.p50:.2f} x;")
    lines[-1] = lines[-1].rstrip(";") + "."
    lines += ["", "## The machine", "", *(f"- {name}: {value}" for name, value in details.items())]
    return "\n".join(lines) + "\n"


def show(rows: list[Row], cache_hit: Timing) -> None:
    """Print the specification's four rows."""
    table = Table("Operation", "Measured", "Embedding", "Specification", title="Milliseconds: median (p99)")
    for row in rows:
        if row.others:
            of = f"with {row.memories:,} memories"
            table.add_row(
                f"Memory injection {of}", str(row.inject), f"{row.inject_embedding_share:.0%}", "< 50"
            )
            table.add_row(f"Memory storage {of}", str(row.store), f"{row.store_embedding_share:.0%}", "< 10")
    table.add_row("Memory extraction", f"+{estimate_tokens(BLOCK)} tokens", "-", "+50-100 tokens")
    table.add_row("Cache hit", f"{cache_hit.p50:.4f} ({cache_hit.p99:.4f})", "-", "< 1")
    Console().print(table)


def main() -> None:
    """Measure, print, and write the results down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--others", type=int, default=100_000, help="memories of other users (default: 100,000)"
    )
    parser.add_argument("--quick", action="store_true", help="a small run that writes nothing down")
    options = parser.parse_args()
    sizes, others, repeats = ([100, 1_000], 2_000, 50) if options.quick else (SIZES, options.others, 500)

    vectors = PreparedVectors()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        embedder = create_embedder(MemoryConfig())
        for text in progress.track(statements()[: max(sizes)], description="embedding the user's memories"):
            vectors.known[text] = embedder.embed([text])[0]
        embedder.close()
        for crowd in (0, others):
            path = Path(folder) / f"{crowd}.db"
            fill(path, vectors, sizes, crowd, progress)
            todo = progress.track(sizes, description=f"measuring among {crowd:,} others")
            rows += [measure(path, vectors, size, crowd, repeats) for size in todo]
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
