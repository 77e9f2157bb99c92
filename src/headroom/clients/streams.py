"""Streams of clients that do not speak HTTP as OpenAI's SDK does: cleaned event by event, as objects."""

import inspect
from collections import deque
from typing import Any, Self

from wrapt import BaseObjectProxy

from headroom.clients.shapes import Json
from headroom.clients.wire import Delivery


class _Stream(BaseObjectProxy):  # type: ignore[type-arg]  # wrapt 2.0 cannot subscript it
    def __init__(self, wrapped: Any, delivery: Delivery) -> None:
        super().__init__(wrapped)
        self._self_delivery = delivery
        self._self_ready: deque[Json] = deque()
        self._self_events: Any = None
        self._self_over = False

    def _self_take(self, event: Json) -> None:
        clean = self._self_delivery.clean(event, event=True)
        self._self_ready.extend([event] if clean is None else clean)

    def _self_end(self) -> None:
        self._self_over = True
        self._self_ready.extend(self._self_delivery.rest())

    def __del__(self) -> None:
        self._self_delivery.abandon()


class CleanStream(_Stream):
    """An iterator over events, without what the model noted in them."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Json:
        if self._self_events is None:
            self._self_events = iter(self.__wrapped__)
        try:
            while not self._self_ready and not self._self_over:
                try:
                    self._self_take(next(self._self_events))
                except StopIteration:
                    self._self_end()
        except BaseException:
            self._self_delivery.finish()
            raise
        if self._self_ready:
            return self._self_ready.popleft()
        self._self_delivery.finish()
        raise StopIteration

    def __enter__(self) -> Self:
        if hasattr(self.__wrapped__, "__enter__"):
            self.__wrapped__.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        try:
            if hasattr(self.__wrapped__, "__exit__"):
                return self.__wrapped__.__exit__(*error)
            return None
        finally:
            self._self_delivery.finish()

    def close(self) -> None:
        """Stop reading."""
        try:
            if hasattr(self.__wrapped__, "close"):
                self.__wrapped__.close()
        finally:
            self._self_delivery.finish()


class CleanAsyncStream(_Stream):
    """An asynchronous iterator over events, without what the model noted in them."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Json:
        if self._self_events is None:
            self._self_events = aiter(self.__wrapped__)
        try:
            while not self._self_ready and not self._self_over:
                try:
                    self._self_take(await anext(self._self_events))
                except StopAsyncIteration:
                    self._self_end()
        except BaseException:
            await self._self_delivery.finish_async()
            raise
        if self._self_ready:
            return self._self_ready.popleft()
        await self._self_delivery.finish_async()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        if hasattr(self.__wrapped__, "__aenter__"):
            await self.__wrapped__.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        try:
            if hasattr(self.__wrapped__, "__aexit__"):
                return await self.__wrapped__.__aexit__(*error)
            return None
        finally:
            await self._self_delivery.finish_async()

    async def close(self) -> None:
        """Stop reading."""
        try:
            for name in ("close", "aclose"):
                if hasattr(self.__wrapped__, name):
                    closing = getattr(self.__wrapped__, name)()
                    if inspect.isawaitable(closing):
                        await closing
                    break
        finally:
            await self._self_delivery.finish_async()

    aclose = close
