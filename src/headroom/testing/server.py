"""The scripted server on a loopback socket, in a thread of its own."""

import asyncio
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import anyio
from anyio.abc import TaskStatus
from anyio.from_thread import start_blocking_portal

from headroom.errors import MissingDependencyError
from headroom.testing.answers import Answers
from headroom.testing.app import ScriptedApp
from headroom.testing.errors import ConnectionCutError
from headroom.testing.requests import ReceivedRequest

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_BACKLOG: Final = 2048


class ScriptedServer:
    """An OpenAI-compatible server on 127.0.0.1 that answers as it is told.

    It runs for a `with` block::

        with ScriptedServer(["Hello!", Failure(429), "Hello again."]) as server:
            client = OpenAI(base_url=server.base_url, api_key="any")

    Its `answers` are one of:

    - an answer (a text, an `Answer` or a `Failure`), which every request gets;
    - a list of answers, used in turn; one that is itself a list holds an answer for each of `n` choices;
    - a table: the first of its regular expressions that occurs in the last user message, whatever the case;
    - a rule: a function, `async` or not, of the `ReceivedRequest` that returns the answer.

    It speaks chat completions and the Responses API, streamed or not, embeddings and models, under the paths
    of OpenAI, Azure and Groq. What the script has no answer for fails with status 500 and says so.

    Raises:
        MissingDependencyError: on entering, uvicorn is not installed.
    """

    def __init__(self, answers: Answers) -> None:
        self.app = ScriptedApp(answers)
        """The ASGI application behind the socket."""
        self.url = ""
        """The root, for clients that add the path: `AzureOpenAI(azure_endpoint=…)`, `Groq(base_url=…)`."""
        self._stack = ExitStack()

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as `base_url`."""
        return f"{self.url}/v1"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every request received, oldest first; `requests.clear()` forgets them."""
        return self.app.requests

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            serving, port = portal.start_task(_serve, self.app)
            stack.callback(serving.cancel)
            self.url = f"http://127.0.0.1:{port}"
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: whatever is still being answered is cut off."""
        self._stack.close()


async def _serve(app: ScriptedApp, *, task_status: TaskStatus[int]) -> None:
    # uvicorn's protocol without uvicorn's Server, which polls for its end and would take 0.2 s to stop.
    try:
        import uvicorn  # noqa: PLC0415 - an optional dependency
        from uvicorn.server import ServerState  # noqa: PLC0415 - of the same
    except ImportError:
        raise MissingDependencyError("uvicorn", "testing") from None

    state = ServerState()

    async def cutting(scope: "Scope", receive: "Receive", send: "Send") -> None:
        try:
            await app(scope, receive, send)
        except ConnectionCutError:
            for connection in state.connections:
                if connection.transport.get_extra_info("peername") == scope["client"]:
                    connection.transport.close()
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            return  # the server stops, and the connection is closed already

    config = uvicorn.Config(cutting, lifespan="off", log_config=None)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),  # type: ignore[call-arg]  # typed as any protocol of asyncio
        host="127.0.0.1",
        port=0,
        backlog=_BACKLOG,
    )
    task_status.started(server.sockets[0].getsockname()[1])
    try:
        await anyio.sleep_forever()
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
