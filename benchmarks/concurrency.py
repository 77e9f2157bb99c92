"""64 recalls at once through the asynchronous face: how long the event loop waits, and the embedder's share.

    python benchmarks/concurrency.py [--quick]

Every question is new, so each recall embeds one with the bundled model. A task beside them sleeps for a
millisecond at a time and notes how late it wakes. Throughput is compared with the bare model in four
settings: one text after the other, on all cores as onnxruntime does it by default and on one core as we do;
and as many texts at once as there are cores, from threads and from 64 callers who await such threads. Writes
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

import numpy as np
from anyio import CapacityLimiter, to_thread
from measuring import RESULTS, Timing, machine, progress_bar
from onnxruntime import InferenceSession
from tokenizers import Tokenizer
from workload import questions, statements

from headroom.memory import HierarchicalMemory, MemoryConfig
from headroom.memory.embedders import bundled
from headroom.memory.embedders.bundled import BundledEmbedder

CALLERS = 64
MEMORIES = 1_000
TICK = 0.001


def new_questions(number: int, round_: int) -> list[str]:
    """Questions that no cache knows."""
    asked = questions()
    return [f"{asked[n % len(asked)]} ({round_}, {n})" for n in range(number)]


def usual_session() -> Callable[[str], object]:
    """The bundled model as onnxruntime runs it when nothing else is said: every core works on each text."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    tokenizer = Tokenizer.from_file(str(bundled.MODEL / "tokenizer.json"))
    tokenizer.no_padding()
    session = InferenceSession(bundled.MODEL / "model.onnx", providers=["CPUExecutionProvider"])
    return lambda text: session.run(None, {"input_ids": np.array(tokenizer.encode(text).ids, np.int64)})


def bare_throughput(embed: Callable[[str], object], threads: int, asked: list[str]) -> float:
    """Embeddings a second without any of our machinery around the model."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(embed, ["warm up"] * threads))
        start = time.perf_counter()
        list(pool.map(embed, asked))
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


async def measure(number: int, rounds: int) -> tuple[dict[str, list[float]], Timing]:
    """Throughputs by what was measured, in turn, the recalls' last; and the loop's lag."""
    found: dict[str, list[float]] = {}
    late: list[float] = []
    embedder, cores = BundledEmbedder(), os.cpu_count() or 1
    limiter = CapacityLimiter(cores)
    settings = {
        "One text after the other, on all cores": (usual_session(), 1),
        "One text after the other, on one core": (lambda text: embedder.embed([text]), 1),
        f"{cores} texts at once, from threads": (lambda text: embedder.embed([text]), cores),
    }
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        async with await HierarchicalMemory.create(
            MemoryConfig(db_path=Path(folder) / "memory.db")
        ) as memory:
            await memory.add_many([{"content": text, "user_id": "alice"} for text in statements()[:MEMORIES]])
            fresh = count()

            async def awaited(question: str) -> None:
                await to_thread.run_sync(embedder.embed, [question], limiter=limiter)

            async def recall(question: str) -> None:
                await memory.search(question, "alice")

            for _ in progress.track(range(rounds), description="measuring"):
                for name, (embed, threads) in settings.items():
                    asked = new_questions(number, next(fresh))
                    rate = await asyncio.to_thread(bare_throughput, embed, threads, asked)
                    found.setdefault(name, []).append(rate)
                for name, work, lateness in (
                    (f"{cores} texts at once, awaited by {CALLERS} callers", awaited, []),
                    ("Recalls", recall, late),
                ):
                    rate = await throughput(work, new_questions(number, next(fresh)), lateness)
                    found.setdefault(name, []).append(rate)
    return found, Timing.of(late)


def main() -> None:
    """Measure, print, and write the results down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small run that writes nothing down")
    options = parser.parse_args()
    found, late = asyncio.run(measure(*((64, 1) if options.quick else (1_280, 7))))
    recalls = found.pop("Recalls")
    lines = [
        "# Concurrency",
        "",
        f"Written by `benchmarks/concurrency.py`: {CALLERS} recalls at once among {MEMORIES:,} memories,",
        f"each embedding a new question: {median(recalls):.0f} a second (median), while the event loop was",
        f"{late} ms late (median, p99 in brackets).",
        "",
        "| The bare model | Embeddings a second (median) | Recalls in proportion (median of the pairs) |",
        "|---|---|---|",
        *(
            f"| {name} | {median(rates):.0f} | "
            f"{median(ours / bare for ours, bare in zip(recalls, rates, strict=True)):.2f} |"
            for name, rates in found.items()
        ),
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
