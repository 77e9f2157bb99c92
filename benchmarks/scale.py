"""What recall and storing cost as one user's memories, other users, threads and processes grow.

    python benchmarks/scale.py [--quick] [--only users,size,index,threads,processes]

The vectors are random (their values cost nothing and change nothing), but for the comparison of HNSW with
exact search, which embeds real sentences. Times are the engine's own, without the embedding. Writes
`results/scale.md`, `.json` and `.svg` beside this file; a full run needs about 10 minutes, 4 GB of disk and
2 GB of RAM.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import scale_report
from measuring import RESULTS, Timing, machine, progress_bar, timed
from rich.console import Console
from rich.progress import Progress
from workload import PreparedVectors, questions, statements

from headroom.memory import Engine, MemoryConfig
from headroom.memory.drafts import NewMemory
from headroom.memory.embedders import create_embedder
from headroom.memory.stores.base import RecallRequest
from headroom.scope import Scope

SUBJECT = "the measured user"
MEMORIES_OF_OTHERS = 10
EXACT = sys.maxsize
"""An index threshold that is never reached."""
ROOMY: dict[str, Any] = {"partition_cache_bytes": 2_000_000_000}


@dataclass(frozen=True)
class Sizes:
    """How far a run goes."""

    users: Sequence[int] = (0, 1_000, 10_000, 100_000)
    memories: Sequence[int] = (10, 100, 1_000, 10_000, 100_000)
    memories_among_others: int = 10_000
    indexed: Sequence[int] = (5_000, 10_000, 20_000, 50_000, 100_000)
    threads: Sequence[int] = (1, 2, 4, 8, 16)
    processes: Sequence[int] = (1, 2, 4)
    repeats: int = 400
    seconds: float = 3.0


QUICK = Sizes(
    users=(0, 100), memories=(10, 1_000), memories_among_others=500, indexed=(1_000,), threads=(1, 4),
    processes=(1, 2), repeats=60, seconds=0.5,
)  # fmt: skip


def config(path: Path, vectors: PreparedVectors, threshold: int = EXACT, **settings: Any) -> MemoryConfig:
    """A memory whose vectors cost nothing and which searches exactly up to `threshold`."""
    return MemoryConfig(db_path=path, embedder=vectors, index_threshold=threshold, **settings)


def fill(engine: Engine, user: str, count: int, start: int = 0) -> None:
    """Give a user `count` different memories."""
    texts = statements()
    rest = iter(range(start, start + count))
    while numbers := list(islice(rest, 1_000)):
        engine.add_many(
            [
                {"content": f"{texts[n % len(texts)]} {n // len(texts) or ''}", "user_id": user}
                for n in numbers
            ]
        )


def others(first: int, count: int) -> Iterator[NewMemory]:
    """The memories of `count` other users."""
    texts = statements()
    for user in range(first, first + count):
        for place in range(MEMORIES_OF_OTHERS):
            number = (user * MEMORIES_OF_OTHERS + place) % len(texts)
            yield {"content": texts[number], "user_id": f"other {user}"}


def recall_times(engine: Engine, repeats: int) -> Timing:
    """Ask different questions, whose vectors are in the cache."""
    asked = questions()[:repeats]
    for question in asked:
        engine.search(question, SUBJECT)
    return Timing.of([timed(lambda: engine.search(question, SUBJECT)) for question in asked])  # noqa: B023 - called at once


def add_times(engine: Engine, repeats: int) -> Timing:
    """Store new memories one by one, each on the disk before the next."""
    stamp = time.time_ns()
    return Timing.of([timed(lambda: engine.add(f"Note {n} of {stamp}", SUBJECT)) for n in range(repeats)])  # noqa: B023


def resident() -> float:
    """RAM of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * resource.getpagesize() / 1e6


def measure_users(folder: Path, sizes: Sizes, progress: Progress) -> list[dict[str, Any]]:
    """One user with many memories, among more and more others."""
    vectors, rows, known = PreparedVectors(), [], 0
    path = folder / "users.db"
    with Engine(config(path, vectors, durability="normal")) as engine:
        fill(engine, SUBJECT, sizes.memories_among_others)
    task = progress.add_task("other users", total=max(sizes.users))
    for count in sizes.users:
        with Engine(config(path, vectors, durability="normal")) as engine:
            items = others(known, count - known)
            while batch := list(islice(items, 2_000)):
                engine.add_many(batch)
                progress.advance(task, len(batch) // MEMORIES_OF_OTHERS)
        known = count
        with Engine(config(path, vectors)) as engine:
            cold = timed(lambda: engine.search("a question", SUBJECT))
            rows.append(
                {
                    "other_users": count,
                    "rows": count * MEMORIES_OF_OTHERS + sizes.memories_among_others,
                    "recall": asdict(recall_times(engine, sizes.repeats)),
                    "add": asdict(add_times(engine, sizes.repeats)),
                    "cold_ms": cold * 1e3,
                    "disk_mb": engine.stats(SUBJECT)["database_bytes"] / 1e6,
                }
            )
    return rows


def wait_for_graph(engine: Engine) -> None:
    """Let the thread that indexes large partitions finish; until then, they are searched exactly."""
    worker = engine._store._partitions._indexer._worker  # noqa: SLF001 - nobody else waits for it
    if worker is not None:
        worker.join()


def opened(path: str, threshold: int) -> tuple[float, float]:
    """How many seconds the first recall takes and how many MB the memories; for a process of its own."""
    with Engine(config(Path(path), PreparedVectors(), threshold, **ROOMY)) as engine:
        engine.search("a question", "somebody without memories")  # what everybody pays once
        before = resident()
        seconds = timed(lambda: engine.search("a question", SUBJECT))
        wait_for_graph(engine)
        return seconds, resident() - before


def measure_size(folder: Path, sizes: Sizes, progress: Progress) -> list[dict[str, Any]]:
    """One user with more and more memories, searched exactly and through HNSW."""
    rows = []
    for count in progress.track(sizes.memories, description="memories of one user"):
        vectors = PreparedVectors()
        path = folder / f"size-{count}.db"
        with Engine(config(path, vectors, durability="normal")) as engine:
            fill(engine, SUBJECT, count)
        for name, threshold in (("exact", EXACT), ("hnsw", 1)):
            if name == "hnsw" and count < min(sizes.indexed):
                continue
            with Engine(config(path, vectors, threshold, **ROOMY)) as engine:
                engine.search("a question that has the graph made", SUBJECT)
                wait_for_graph(engine)
                recall, add = recall_times(engine, sizes.repeats), add_times(engine, sizes.repeats)
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                cold, ram = process.submit(opened, str(path), threshold).result()
            files = (file for file in folder.rglob("*") if path.name in str(file) and file.is_file())
            rows.append(
                {
                    "memories": count,
                    "search": name,
                    "recall": asdict(recall),
                    "add": asdict(add),
                    "cold_ms": cold * 1e3,
                    "ram_mb": ram,
                    "disk_mb": sum(file.stat().st_size for file in files) / 1e6,
                }
            )
    return rows


def nearest(engine: Engine, question: str) -> set[int]:
    """The ten memories whose vectors are nearest to a question's."""
    vector = engine._embedder.embed_query(question)  # noqa: SLF001 - what lies between the faces is compared here
    request = RecallRequest(scope=Scope(SUBJECT), vector=vector, text="?", now=datetime.now(UTC), top_k=10)
    candidates = engine._store.candidates(request)  # noqa: SLF001
    return set(candidates.keys[np.argsort(-candidates.evidence.cosine)[:10]].tolist())


def measure_index(folder: Path, sizes: Sizes, progress: Progress) -> list[dict[str, Any]]:
    """HNSW against exact search on real sentences: the same ten, and how much sooner."""
    vectors, rows, largest = PreparedVectors(), [], max(sizes.indexed)
    embedder = create_embedder(MemoryConfig())
    for text in progress.track(statements()[:largest], description="embedding sentences"):
        vectors.known[f"{text} "] = vectors.known[text] = embedder.embed([text])[0]
    asked = questions()[: min(200, sizes.repeats)]
    for question in asked:
        vectors.known[question] = embedder.embed([question])[0]
    embedder.close()
    for count in progress.track(sizes.indexed, description="HNSW and exact"):
        path = folder / f"index-{count}.db"
        found: dict[str, list[set[int]]] = {}
        times: dict[str, Timing] = {}
        for name, threshold in (("exact", EXACT), ("hnsw", 1)):
            with Engine(config(path, vectors, threshold, durability="normal", **ROOMY)) as engine:
                if name == "exact":
                    fill(engine, SUBJECT, count)
                engine.search("a question that has the graph made", SUBJECT)
                wait_for_graph(engine)
                found[name] = [nearest(engine, question) for question in asked]
                times[name] = recall_times(engine, len(asked))
        same = [len(ours & exact) / 10 for ours, exact in zip(found["hnsw"], found["exact"], strict=True)]
        rows.append(
            {
                "memories": count,
                "recall_at_10": float(np.mean(same)),
                "exact": asdict(times["exact"]),
                "hnsw": asdict(times["hnsw"]),
            }
        )
    return rows


def throughput(path: Path, seconds: float, user: str, barrier: Any) -> tuple[int, int]:
    """Recall nine times and store once, again and again; return how many of each were done."""
    recalls = adds = 0
    asked = questions()
    with Engine(config(path, PreparedVectors())) as engine:
        engine.search("warm up", user)
        barrier.wait()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for question in asked[recalls % 990 :][:9]:
                engine.search(question, user)
            engine.add(f"Note {adds} of {user} at {time.time_ns()}", user)
            recalls, adds = recalls + 9, adds + 1
    return recalls, adds


def _in_process(path: str, seconds: float, user: str, barrier: Any, results: Any) -> None:
    results.put(throughput(Path(path), seconds, user, barrier))


def crowd_database(folder: Path, users: int) -> Path:
    """A database in which each of some users has 1,000 memories."""
    path = folder / f"crowd-{users}.db"
    with Engine(config(path, PreparedVectors(), durability="normal")) as engine:
        for user in range(users):
            fill(engine, f"user {user}", 1_000, start=user * 1_000)
    return path


def measure_threads(folder: Path, sizes: Sizes, progress: Progress) -> list[dict[str, Any]]:
    """Threads of one process that share an engine, each for a user of its own."""
    rows = []
    path = crowd_database(folder, max(sizes.threads))
    for count in progress.track(sizes.threads, description="threads"):
        done: list[int] = []
        times: list[float] = []
        asked = questions()
        with Engine(config(path, PreparedVectors())) as engine:
            barrier = threading.Barrier(count)

            def work(user: str, seconds: float = sizes.seconds) -> None:
                engine.search("warm up", user)
                barrier.wait()  # noqa: B023
                end, number, mine = time.monotonic() + seconds, 0, []
                while time.monotonic() < end:
                    mine.append(timed(lambda: engine.search(asked[number % 1_000], user)))  # noqa: B023
                    number += 1
                done.append(number)  # noqa: B023
                times.extend(mine)  # noqa: B023

            threads = [threading.Thread(target=work, args=(f"user {n}",)) for n in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        rows.append(
            {
                "threads": count,
                "recalls_per_second": sum(done) / sizes.seconds,
                "recall": asdict(Timing.of(times)),
            }
        )
    return rows


def measure_processes(folder: Path, sizes: Sizes, progress: Progress) -> list[dict[str, Any]]:
    """Processes on one file, each for a user of its own: nine recalls to one stored memory."""
    rows = []
    context = multiprocessing.get_context("spawn")
    path = crowd_database(folder, max(sizes.processes))
    for count in progress.track(sizes.processes, description="processes"):
        barrier, results = context.Barrier(count), context.Queue()
        workers = [
            context.Process(
                target=_in_process, args=(str(path), sizes.seconds, f"user {n}", barrier, results)
            )
            for n in range(count)
        ]
        for worker in workers:
            worker.start()
        done = [results.get() for _ in workers]
        for worker in workers:
            worker.join()
        rows.append(
            {
                "processes": count,
                "recalls_per_second": sum(recalls for recalls, _ in done) / sizes.seconds,
                "adds_per_second": sum(adds for _, adds in done) / sizes.seconds,
            }
        )
    return rows


MEASUREMENTS = {
    "users": measure_users,
    "size": measure_size,
    "index": measure_index,
    "threads": measure_threads,
    "processes": measure_processes,
}


def main() -> None:
    """Measure, print, and write the results down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small run that writes nothing down")
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help="some of: %(default)s")
    options = parser.parse_args()
    wanted = options.only.split(",")
    sizes = QUICK if options.quick else Sizes()
    known = RESULTS / "scale.json"
    figures = json.loads(known.read_text())["figures"] if known.exists() and not options.quick else {}
    with progress_bar() as progress:
        for name in wanted:
            with tempfile.TemporaryDirectory() as folder:
                figures[name] = MEASUREMENTS[name](Path(folder), sizes, progress)
    figures = {name: figures[name] for name in MEASUREMENTS if name in figures}
    details = machine()
    text = scale_report.report(figures, details)
    Console().print(text, markup=False)
    users = figures.get("users")
    if users:
        ratio = users[-1]["recall"]["p50"] / users[0]["recall"]["p50"]
        print(f"recall among most others, relative to none: {ratio:.2f} x")
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "scale.md").write_text(text, encoding="utf-8")
        known.write_text(
            json.dumps({"machine": details, "figures": figures}, indent=2) + "\n", encoding="utf-8"
        )
        if figures.keys() >= {"users", "size", "index"}:
            scale_report.plot(figures, RESULTS / "scale.svg")


if __name__ == "__main__":
    main()
