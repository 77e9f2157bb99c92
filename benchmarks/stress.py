"""Many requests of many users at once, on real servers with several processes and one database.

    python benchmarks/stress.py [--server uvicorn|gunicorn] [--requests 10000] [--users 500] [--workers 4]

The requests wait at random, run in threads, in agents and in the background, stream, fail, are cancelled, and
lose their clients half-way; those of all users, and of nobody, share connections (see `stress_apps.py`). It
ends with an error if any code ever ran in the scope of somebody else's request, if a memory is missing or not
its user's, or if the next request, on whichever worker, does not find what was stored.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from measuring import progress_bar
from rich.progress import Progress

from headroom.memory import Engine, MemoryConfig

CONCURRENCY = 100
KINDS = [
    "plain",
    "plain",
    "threads",
    "agents",
    "stream",
    "leave",
    "background",
    "fail",
    "cancel",
    "anonymous",
    "read",
]
SURE = {"plain", "threads", "agents", "stream"}
"""What has stored its note for certain once its response is there."""
COMMANDS = {
    "uvicorn": "uvicorn --workers {workers} --port {port} --timeout-keep-alive 60 --log-level critical "
    "--app-dir {here} stress_apps:asgi_app",
    "gunicorn": "gunicorn --workers {workers} --bind 127.0.0.1:{port} --log-level critical "
    "--worker-class gthread --threads 8 --pythonpath {here} stress_apps:wsgi_app",
}


@dataclass
class Run:
    """What was asked for and what came of it."""

    url: str
    limits: httpx2.Limits
    stored: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """For each user, the notes whose storing has been acknowledged."""
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def request(self, client: httpx2.AsyncClient, number: int, user: str, kind: str) -> None:
        """Make one request, and look at its answer."""
        text = f"Note {number} of {user}"
        headers = {"x-work": kind, "x-note": text}
        if kind != "anonymous":
            headers["x-user"] = user
        if kind == "fail":  # servers close the connection then, at times just as the next request is sent
            headers["connection"] = "close"
        known = set(self.stored[user])
        async with client.stream("GET", self.url, headers=headers) as response:
            if kind == "leave":
                async for _ in response.aiter_raw():
                    break  # and the connection is closed in the middle of the body
            else:
                await response.aread()
        self.done[kind] += 1
        if response.status_code != (500 if kind == "fail" else 200):
            self.wrong.append(f"{kind} was answered with {response.status_code}")
        elif kind in SURE:
            self.stored[user].add(text)
        elif kind == "read" and (missing := known - set(response.json())):
            self.wrong.append(f"the next request of {user} did not find {missing}")

    async def requests(self, count: int, users: int, progress: Progress) -> None:
        """Make all of them, so many at once."""
        task = progress.add_task("requests", total=count)
        plan = [(number, f"user {number % users}", random.choice(KINDS)) for number in range(count)]
        random.shuffle(plan)
        pending = iter(plan)

        async def some(client: httpx2.AsyncClient) -> None:
            for number, user, kind in pending:
                try:
                    await self.request(client, number, user, kind)
                except httpx2.TransportError as error:
                    self.wrong.append(f"{kind} was not answered: {error!r}")
                progress.advance(task)

        async with httpx2.AsyncClient(limits=self.limits, timeout=60) as client, asyncio.TaskGroup() as tasks:
            for _ in range(CONCURRENCY):
                tasks.create_task(some(client))

    async def read_everything(self, users: int, progress: Progress) -> None:
        """Every user once more, each over a new connection, to whichever worker takes it."""
        task = progress.add_task("reading", total=users)
        gate = asyncio.Semaphore(16)

        async def read(user: str) -> None:
            async with gate, httpx2.AsyncClient(timeout=60) as client:
                await self.request(client, 0, user, "read")
            progress.advance(task)

        async with asyncio.TaskGroup() as tasks:
            for number in range(users):
                tasks.create_task(read(f"user {number}"))

    def check_database(self, folder: Path) -> int:
        """Look at every memory there is: whose it is, and whether any is missing."""
        with Engine(MemoryConfig(db_path=folder / "stress.db")) as engine:
            count = engine.export(folder / "dump.jsonl")
        kept = defaultdict(set)
        for line in (folder / "dump.jsonl").read_text().splitlines()[1:]:
            memory = json.loads(line)
            kept[memory["user_id"]].add(memory["content"])
        for user, texts in kept.items():
            if strange := [text for text in texts if not text.endswith(f" of {user}")]:
                self.wrong.append(f"{user} has {strange}")
        for user, texts in self.stored.items():
            if missing := texts - kept[user]:
                self.wrong.append(f"{user} lost {missing}")
        return count


def wait_for(port: int) -> None:
    """Wait until something listens there."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not start")


def main() -> None:
    """Serve, make the requests, stop, and look at what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", choices=COMMANDS, default="uvicorn")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as listener:
        folder, port = Path(name), listener.getsockname()[1]
        listener.close()
        places = {"port": port, "workers": arguments.workers, "here": Path(__file__).parent}
        command = [part.format(**places) for part in COMMANDS[arguments.server].split()]
        run = Run(f"http://127.0.0.1:{port}/", httpx2.Limits(max_connections=CONCURRENCY))
        environment = os.environ | {"STRESS_FOLDER": name}
        with subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", *command], env=environment, stderr=subprocess.DEVNULL
        ) as server:
            try:
                wait_for(port)
                start = time.perf_counter()
                with progress_bar() as progress:
                    asyncio.run(run.requests(arguments.requests, arguments.users, progress))
                    seconds = time.perf_counter() - start
                    asyncio.run(run.read_everything(arguments.users, progress))
            finally:
                server.send_signal(signal.SIGTERM)
        memories = run.check_database(folder)
        violations = folder / "violations.log"
        wrong = run.wrong + (violations.read_text().splitlines() if violations.exists() else [])
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(run.done.items()))
    print(
        f"{arguments.server}, {arguments.workers} workers, {arguments.users} users, seed {arguments.seed}: "
        f"{arguments.requests} requests in {seconds:.0f} s, then one of each user ({kinds}); "
        f"{memories} memories, {len(wrong)} wrong"
    )
    if wrong:
        raise SystemExit("\n".join(wrong[:20]))


if __name__ == "__main__":
    main()
