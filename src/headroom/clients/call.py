"""One call through a wrapped client: memories go in, a clean answer comes out, what was noted is stored."""

import asyncio
import inspect
import sys
import threading
import time
from asyncio import CancelledError
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from anyio import CancelScope

from headroom.clients.answers import Request
from headroom.clients.core import ClientCore
from headroom.clients.shapes import Json, unite
from headroom.clients.storing import carry_out
from headroom.clients.streams import CleanAsyncStream, CleanStream
from headroom.clients.wire import hook_into, in_flight
from headroom.exchange import Exchange, Operation
from headroom.memory import patience
from headroom.prompting.injection import Injection, inject
from headroom.scope import Scope

if TYPE_CHECKING:
    from types import FrameType

Method = Callable[..., Any]


class Call:
    """A call and its answer on its way, which may be a stream that outlives the call.

    Args:
        core: The client's.
        request: What the caller passed.
        scope: Whose memory it is; None for a call that only fetches an answer made earlier, to be cleaned.
        http_client: What the client sends its requests with.
    """

    def __init__(self, core: ClientCore, request: Request, scope: Scope | None, http_client: Any) -> None:
        self.path = request.path
        self.answer = request.answer()
        self.over_http = False
        self._core = core
        self._request = request
        self._http_client = http_client
        self._exchange = None if scope is None else Exchange(scope, core.options)
        self._trace = None if self._exchange is None else self._exchange.trace
        self._memory = core.memory()
        self._injection = Injection()
        self._cleaning = core.options.extract
        self._under_way = True
        self._arrived = False
        self._answered = True
        self._unfinished = [True]
        self._uncalled = [True]
        self._unattended = False
        self._operations: deque[Operation] = deque()
        self._storing = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = time.perf_counter()
        if self._trace is not None:
            core.set_last_exchange(self._trace)

    # The two ways of making it

    def make(self, method: Method, args: Sequence[Any]) -> Any:
        """Call the SDK's method."""
        try:
            self._request.materialise()
            with patience.lasting(patience.LITTLE), self._guarded("recall"):
                self._recall()
            parameters = self._prepared()
            with self._in_flight():
                result = method(*args, **parameters)
        except BaseException:
            self._answered = self._arrived  # the SDK may have refused what arrived, for example as cut off
            self.finish()
            raise
        if inspect.isawaitable(result):
            return self._awaited(result)
        if self._deliver(result):
            self.finish()
        elif not self.over_http:
            return CleanStream(result, self)
        return result

    async def make_async(self, method: Method, args: Sequence[Any]) -> Any:
        """Call the SDK's method and await it."""
        try:
            self._request.materialise()
            with patience.lasting(patience.LITTLE), self._guarded("recall"):
                await self._memory.run_search(self._recall)
            parameters = self._prepared()
            with self._in_flight():
                result = await method(*args, **parameters)
        except BaseException as error:
            await self._fail_async(error)
            raise
        return await self._delivered(result)

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        try:
            answer = await result
        except BaseException as error:
            await self._fail_async(error)
            raise
        return await self._delivered(answer)

    async def _fail_async(self, error: BaseException) -> None:
        self._answered = self._arrived
        if not isinstance(error, GeneratorExit):
            await self.finish_async()
        elif self._first():  # a coroutine that is dropped can await nothing any more
            self._finish_unattended()

    async def _delivered(self, result: Any) -> Any:
        if self._deliver(result):
            await self.finish_async()
        elif not self.over_http:
            return CleanAsyncStream(result, self)
        return result

    def _deliver(self, result: Any) -> bool:
        """Clean what no HTTP response was cleaned for; whether the answer is all there."""
        if self.over_http or not self._cleaning:
            return self._arrived or not self._cleaning
        if self._request.parameters.get("stream"):
            return False
        self.clean(result, event=False)
        return True

    @contextmanager
    def _in_flight(self) -> Iterator[None]:
        if self._cleaning:
            hook_into(self._http_client)
        token = in_flight.set(self if self._cleaning else None)
        try:
            yield
        finally:
            self._under_way = False
            with suppress(ValueError):  # a coroutine that is dropped may be closed in another context
                in_flight.reset(token)

    # Before

    def _recall(self) -> None:
        if self._exchange is None:
            return
        memory = self._memory.open()
        options, turn, scope = self._core.options, self._request.turn, self._exchange.scope
        if not options.inject or turn is None:
            return
        config = memory.config
        key = (scope, self.path, turn.place, hash(turn.text))
        shown = self._core.shown_before(key, memory.engine) if turn.continued else None
        if shown is None:
            recalled = memory.engine.search(
                turn.text,
                scope.require_user(),
                scope.session_id,
                scope.agent_id,
                scope.turn_id,
                top_k=options.top_k,
                min_score=config.injection_min_score if options.min_score is None else options.min_score,
                categories=options.categories,
            )
            shown = recalled, inject(recalled, options.token_budget or config.injection_token_budget)
            self._core.keep_shown(key, *shown)
        self._injection = shown[1]
        self._exchange.show(*shown)

    def _prepared(self) -> dict[str, Any]:
        if self._trace is None:
            return dict(self._request.parameters)
        self._trace.recall_time = time.perf_counter() - self._started
        self._cleaning = False
        with self._guarded("inject"):
            asked = self._core.options.extract and self._request.takes_notes
            if asked or self._injection.text:
                prepared = self._request.prepared(self._injection, instruct=asked)
                self._cleaning = self._trace.asked = asked
                return prepared
        return dict(self._request.parameters)

    # While the answer arrives

    def clean(self, payload: Json, *, event: bool) -> list[Json] | None:
        """Clean an answer or an event; what takes its place, or None where nothing changed."""
        try:
            clean = self.answer.event(payload) if event else self._whole(payload)
            if clean is not None:
                unite(clean)
        except Exception as error:  # noqa: BLE001 - see ClientCore.failed
            self._failed("clean", error)
            return None
        return clean

    def _whole(self, payload: Json) -> list[Json] | None:
        return [payload] if self.answer.whole(payload) else None

    def ended(self) -> None:
        """Whatever of the answer will arrive has arrived."""
        self._arrived = True
        if not self._under_way:
            self.finish()

    async def ended_async(self) -> None:
        """The same in a task."""
        self._arrived = True
        if not self._under_way:
            await self.finish_async()

    def rest(self) -> list[Json]:
        """What is still to be delivered where a stream ends."""
        with self._guarded("clean"):
            rest = self.answer.end()
            unite(rest)
            return rest
        return []

    # After

    def finish(self) -> None:
        """Store what the model noted, and tell of the exchange; once, however often it is called."""
        if not self._first():
            return
        if _interrupts_the_engine():
            # The garbage collector came upon a stream that was dropped, in the middle of an engine's work.
            self._finish_unattended()
        else:
            self._finish()

    def abandon(self) -> None:
        """Finish an answer that nobody is waiting for any more, unless the SDK is asking anew."""
        if not self._under_way and self._first():
            self._finish_unattended()

    async def finish_async(self) -> None:
        """What `finish` does, in a task, even in one that is being cancelled."""
        if not self._first():
            return
        try:
            with CancelScope(shield=True):
                try:
                    if self._note():
                        with patience.lasting(patience.LITTLE), self._guarded("store"):
                            await self._memory.run_in_turn(self._store)
                finally:
                    self._end_trace()
                with self._guarded("callback"):
                    await self._called_back(self._call_back())
        except CancelledError:
            # A scope shields from other scopes, but not from `asyncio.Task.cancel`.
            self._finish_unattended()
            raise

    def _finish_unattended(self) -> None:
        self._unattended = True
        with suppress(RuntimeError):  # no event loop runs here
            self._loop = asyncio.get_running_loop()
        with self._guarded("store"):  # there may be no threads left, or no time for one
            threading.Thread(target=self._finish, name="headroom-finish").start()

    def _finish(self) -> None:
        try:
            if self._note() or self._unattended:
                with patience.lasting(patience.LITTLE), self._guarded("store"):
                    self._store()
        finally:
            self._end_trace()
        with self._guarded("callback"):
            called = self._call_back()
            if inspect.isawaitable(called) and self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._called_back(called), self._loop)

    def _first(self) -> bool:
        """Whether nobody has begun to finish the call: taking from a list tells that to one asker only."""
        try:
            return self._unfinished.pop()
        except IndexError:
            return False

    def _note(self) -> bool:
        """Read what the answer asks for; whether there is any of it to be done."""
        if self._exchange is None or self._trace is None or not self._answered:
            return False
        if self._trace.model_time is None:
            self._trace.model_time = time.perf_counter() - self._started - (self._trace.recall_time or 0)
            self.rest()  # ends the texts of a stream that was not read to its end
            with self._guarded("store"):
                self._operations.extend(self._exchange.operations(self.answer.blocks))
        return bool(self._operations)

    def _store(self) -> None:
        with self._storing:  # a thread that a cancelled task left behind may be at it
            started = time.perf_counter()
            while self._operations:
                assert self._exchange is not None  # noqa: S101 - only an exchange has operations
                engine = self._memory.open().engine
                with self._guarded("store"):
                    carry_out(self._operations.popleft(), self._exchange, engine)
                self._exchange.trace.store_time = time.perf_counter() - started

    def _end_trace(self) -> None:
        if self._trace is not None:
            self._trace.finished = self._answered and not self._operations

    def _call_back(self) -> object:
        callback = self._core.options.on_exchange
        if callback is None or self._trace is None or not self._uncalled:
            return None
        self._uncalled.pop()
        return callback(self._trace)

    async def _called_back(self, called: object) -> None:
        with self._guarded("callback"):
            if inspect.isawaitable(called):
                await called

    # Failing

    @contextmanager
    def _guarded(self, step: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - see ClientCore.failed
            self._failed(step, error)

    def _failed(self, step: str, error: Exception) -> None:
        if self._trace is not None and any(failure.error is error for failure in self._trace.failures):
            raise error  # on its way to a strict caller
        # Nothing is raised in the place of the error for which there is no answer.
        strict = self._answered and not self._unattended and self._core.is_strict(self._memory)
        self._core.failed(step, error, self._trace, strict=strict)


def _interrupts_the_engine() -> bool:
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented for this use
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("headroom.memory."):
            return True
        frame = frame.f_back
    return False
