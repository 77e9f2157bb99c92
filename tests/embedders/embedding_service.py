"""A service that speaks what OpenAI and Ollama speak, and fails on demand."""

import base64
import json
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np


class Failure(NamedTuple):
    """One answer that is not a vector."""

    status: int = 200
    body: bytes | object = b""
    headers: Mapping[str, str] = {}
    drops: bool = False
    hangs: bool = False


class EmbeddingService(ThreadingHTTPServer):
    """An embedding service with the wire formats of OpenAI (/v1/embeddings) and Ollama (/api/embed)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.dimension = 8
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.failures: deque[Failure] = deque()
        self.always: Failure | None = None
        self.ended = Event()
        self.lock = Lock()

    def vector(self, text: str, dimension: int | None = None) -> list[float]:
        """What this service answers for `text`; not of length one."""
        random = np.random.default_rng(crc32(text.encode()))
        return [
            float(number) for number in random.normal(size=dimension or self.dimension).astype(np.float32)
        ]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: EmbeddingService
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(request)
            self.server.authorizations.append(self.headers["Authorization"])
            failure = self.server.failures.popleft() if self.server.failures else self.server.always
        if failure is not None:
            self._fail(failure)
        elif self.path == "/v1/embeddings":
            self._send(200, self._openai(request))
        elif self.path == "/api/embed":
            vectors = [self.server.vector(text) for text in request["input"]]
            self._send(200, {"model": request["model"], "embeddings": vectors, "total_duration": 14143917})
        else:
            self._send(404, {"error": {"message": f"no such path: {self.path}"}})

    def _openai(self, request: dict[str, Any]) -> dict[str, Any]:
        data = []
        for index, text in enumerate(request["input"]):
            vector = self.server.vector(text, request.get("dimensions"))
            packed = base64.b64encode(np.array(vector, "<f4").tobytes()).decode()
            wanted = request.get("encoding_format", "float")
            data.append(
                {"object": "embedding", "index": index, "embedding": packed if wanted == "base64" else vector}
            )
        data.reverse()  # it is the index that counts
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        return {"object": "list", "data": data, "model": request["model"], "usage": usage}

    def _fail(self, failure: Failure) -> None:
        if failure.hangs:
            self.server.ended.wait(60)
        if failure.hangs or failure.drops:
            self.close_connection = True
            return
        self._send(failure.status, failure.body, failure.headers)

    def _send(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
