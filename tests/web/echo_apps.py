"""Applications for real servers, each of which answers with the user of its scope."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from headroom import asgi, wsgi
from headroom.scope import bind, current_scope


async def tell(request: Request) -> PlainTextResponse:
    if name := request.query_params.get("bind"):
        bind(user_id=name)
    return PlainTextResponse(current_scope().user_id or "anonymous")


asgi_app = asgi.MemoryMiddleware(Starlette(routes=[Route("/", tell)]), user=asgi.trusted_header("x-user"))


def tell_synchronously(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if name := environ["QUERY_STRING"].removeprefix("bind="):
        bind(user_id=name)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(current_scope().user_id or "anonymous").encode()]


wsgi_app = wsgi.MemoryMiddleware(tell_synchronously, user=wsgi.trusted_header("x-user"))
