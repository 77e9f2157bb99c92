"""64 recalls at once through the asynchronous face: how long the event loop waits, and the embedder's share.

    python benchmarks/concurrency.py [--quick]

Every question is new, so each recall embeds one with the bundled model. A task beside them sleeps for a
millisecond at a time and notes how late it wakes. Throughput is compared with the bare embedder, called from
as many threads as there are cores, and with 64 callers who await it in such threads. Writes
`results/concurrency.md` beside this file.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from statistics import median

from anyio import CapacityLimiter, to_thread
from measuring import RESULTS, Timing, machine, progress_bar
from workload import questions, statements

from headroom.memory import HierarchicalMemory, MemoryConfig
from headroom.memory.embedders.bundled import BundledEmbedder

CALLERS = 64
MEMORIES = 1_000
TICK = 0.001


def new_questions(number: int, round_: int) -> list[str]:
    """Questions that no cache knows."""
    asked = questions()
    return [f"{asked[n % len(asked)]} ({round_}, {n})" for n in range(number)]


def bare_throughput(asked: list[str]) -> float:
    """Embeddings a second without any of our machinery around the model."""
    embedder = BundledEmbedder()
    embedder.embed(["warm up"])
    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda text: embedder.embed([text]), asked))
    return len(asked) / (time.perf_counter() - start)


async def lag(late: list[float], stop: asyncio.Event) -> None:
    """Note how late a sleeping task wakes up."""
    while not stop.is_set():
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - start - TICK)


async def throughput(work: Callable[[str], Awaitable[object]], asked: list[str], late: list[float]) -> float:
    """Calls a second with 64 callers; and note how late the loop was meanwhile, in seconds."""
    rest = iter(asked)
    stop = asyncio.Event()

    async def caller() -> None:
        for question in rest:
            await work(question)

    watch = asyncio.create_task(lag(late, stop))
    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    elapsed = time.perf_counter() - start
    stop.set()
    await watch
    return len(asked) / elapsed


async def measure(number: int, rounds: int) -> tuple[list[float], list[float], list[float], Timing]:
    """Throughputs of recalls, of awaited embeddings and of the bare embedder, in turn, and the loop's lag."""
    ours, awaited, bare, late = [], [], [], []
    embedder, cores = BundledEmbedder(), CapacityLimiter(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        async with await HierarchicalMemory.create(
            MemoryConfig(db_path=Path(folder) / "memory.db")
        ) as memory:
            await memory.add_many([{"content": text, "user_id": "alice"} for text in statements()[:MEMORIES]])
            fresh = count()
            for _ in progress.track(range(rounds), description="measuring"):
                bare.append(await asyncio.to_thread(bare_throughput, new_questions(number, next(fresh))))
                awaited.append(
                    await throughput(
                        lambda question: to_thread.run_sync(embedder.embed, [question], limiter=cores),
                        new_questions(number, next(fresh)),
                        [],
                    )
                )
                ours.append(
                    await throughput(
                        lambda question: memory.search(question, "alice"),
                        new_questions(number, next(fresh)),
                        late,
                    )
                )
    return ours, awaited, bare, Timing.of(late)


def main() -> None:
    """Measure, print, and write the results down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small run that writes nothing down")
    options = parser.parse_args()
    ours, awaited, bare, late = asyncio.run(measure(*((64, 1) if options.quick else (1_280, 7))))
    ratios = [median(a / b for a, b in zip(ours, others, strict=True)) for others in (bare, awaited)]
    lines = [
        "# Concurrency",
        "",
        f"Written by `benchmarks/concurrency.py`: {CALLERS} recalls at once among {MEMORIES:,} memories,",
        "each embedding a new question.",
        "",
        "| Figure | Measured |",
        "|---|---|",
        f"| Recalls a second (median) | {median(ours):.0f} |",
        f"| The bare embedder's embeddings a second (median) | {median(bare):.0f} |",
        f"| The same, awaited by {CALLERS} callers | {median(awaited):.0f} |",
        f"| Recalls, relative to the bare embedder (median of the pairs) | {ratios[0]:.2f} |",
        f"| Recalls, relative to awaiting it | {ratios[1]:.2f} |",
        f"| Event loop late, ms: median (p99) | {late} |",
        "",
        "## The machine",
        "",
        *(f"- {name}: {value}" for name, value in machine().items()),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "concurrency.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
