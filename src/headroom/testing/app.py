"""The scripted server as an ASGI application: its routes, and the replies as HTTP."""

import inspect
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from headroom.testing.answers import Answer, Answers, Failure, Rule, as_answers, as_rule
from headroom.testing.chat_completions import ChatCompletion
from headroom.testing.embeddings import embeddings_response
from headroom.testing.errors import BadRequestError, ConnectionCutError, check_body, error_response
from headroom.testing.requests import ReceivedRequest, hide_secrets
from headroom.testing.responses import Response

_PREFIXES: Final = ("/v1", "/openai/v1", "/openai/deployments/{deployment}", "/openai")
"""Where the API lies: at OpenAI; at Groq and in Azure's newer API; at Azure by deployment, and its rest."""

_MODELS: Final = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small", "text-embedding-3-large")


class ScriptedApp:
    """The scripted server without a socket: an ASGI application, for example for httpx's ASGITransport.

    Where an answer's connection is to be cut, the call of the application raises `ConnectionCutError`.
    """

    def __init__(self, answers: Answers) -> None:
        self.requests: list[ReceivedRequest] = []
        """Every request received, oldest first; `requests.clear()` forgets them."""
        self._rule: Rule = as_rule(answers)
        self._numbers = itertools.count(1)
        endpoints = {
            "/chat/completions": (self._chat_completions, "POST"),
            "/responses": (self._responses, "POST"),
            "/embeddings": (self._embeddings, "POST"),
            "/models": (self._models, "GET"),
            "/models/{model:path}": (self._model, "GET"),
        }
        self._router = Router(
            [
                Route(prefix + path, endpoint, methods=[method])
                for prefix in _PREFIXES
                for path, (endpoint, method) in endpoints.items()
            ],
            redirect_slashes=False,
            default=self._unknown_url,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        await self._router(scope, receive, send)

    async def _chat_completions(self, request: Request) -> HttpResponse:
        try:
            received = await self._receive(request, "messages")
            reply = await self._reply(received, received.body.get("n") or 1)
        except BadRequestError as error:
            return error_response(Failure(400, str(error)), error.param)
        if isinstance(reply, Failure):
            return error_response(reply)
        completion = ChatCompletion(next(self._numbers), received, reply)
        if received.body.get("stream"):
            lines = (f"data: {json.dumps(chunk)}\n\n" for chunk in completion.chunks())
            return _stream(itertools.chain(lines, ["data: [DONE]\n\n"]), reply[0])
        return _whole(completion.whole(), reply[0])

    async def _responses(self, request: Request) -> HttpResponse:
        try:
            received = await self._receive(request, "input")
            reply = await self._reply(received, 1)
        except BadRequestError as error:
            return error_response(Failure(400, str(error)), error.param)
        if isinstance(reply, Failure):
            return error_response(reply)
        response = Response(next(self._numbers), received, reply[0])
        if received.body.get("stream"):
            events = response.events()
            return _stream(
                (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events), reply[0]
            )
        return _whole(response.whole(), reply[0])

    async def _embeddings(self, request: Request) -> HttpResponse:
        try:
            received = await self._receive(request, "input")
            return JSONResponse(embeddings_response(received.body))
        except BadRequestError as error:
            return error_response(Failure(400, str(error)), error.param)

    async def _models(self, request: Request) -> HttpResponse:
        self._record(request, {})
        return JSONResponse({"object": "list", "data": [_model(name) for name in _MODELS]})

    async def _model(self, request: Request) -> HttpResponse:
        self._record(request, {})
        return JSONResponse(_model(request.path_params["model"]))

    async def _unknown_url(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = error_response(
            Failure(404, f"Unknown request URL: {scope['method']} {scope['path']}.", code="unknown_url")
        )
        await response(scope, receive, send)

    async def _receive(self, request: Request, required: str) -> ReceivedRequest:
        try:
            body = json.loads(await request.body())
        except ValueError:
            raise BadRequestError("We could not parse the JSON body of your request.") from None
        received = self._record(request, body if isinstance(body, Mapping) else {})
        check_body(body, required)
        return received

    def _record(self, request: Request, body: Mapping[str, Any]) -> ReceivedRequest:
        received = ReceivedRequest(
            path=request.url.path,
            body=body,
            headers=hide_secrets(request.headers),
            query=dict(request.query_params),
            method=request.method,
        )
        self.requests.append(received)
        return received

    async def _reply(self, request: ReceivedRequest, choices: int) -> Sequence[Answer] | Failure:
        try:
            reply = self._rule(request)
            if inspect.isawaitable(reply):
                reply = await reply
            answers = reply if isinstance(reply, Failure) else as_answers(reply, choices)
        except Exception as error:  # noqa: BLE001 - whatever a rule raises is told to the client
            return _script_error(error)
        await anyio.sleep(answers.delay if isinstance(answers, Failure) else answers[0].delay)
        return answers


def _whole(content: Mapping[str, Any], answer: Answer) -> HttpResponse:
    if answer.cut_after is not None:
        raise ConnectionCutError
    return JSONResponse(content, headers={"x-request-id": f"req_{content['id']}"})


def _stream(events: Iterator[str], answer: Answer) -> HttpResponse:
    async def paced() -> AsyncIterator[str]:
        for position, event in enumerate(events):
            await anyio.sleep(answer.chunk_delay if position else 0)
            yield event

    return StreamingResponse(paced(), headers={"cache-control": "no-cache"}, media_type="text/event-stream")


def _script_error(error: Exception) -> Failure:
    return Failure(
        500, f"{type(error).__name__}: {error}", code="script_error", headers={"x-should-retry": "false"}
    )


def _model(name: str) -> Mapping[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "scripted"}
