"""How the server fails on purpose, or because a request is not one that the real API would take."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import JSONResponse

from headroom.testing.answers import Failure

_ROLES: Final = frozenset({"developer", "system", "user", "assistant", "tool", "function"})


class ConnectionCutError(Exception):
    """The script breaks the connection here: the server does, the bare ASGI application raises this."""


class BadRequestError(Exception):
    """A request that the real API would refuse with status 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def error_response(failure: Failure, param: str | None = None) -> JSONResponse:
    """The failure in the API's format."""
    error = {"message": failure.message, "type": failure.error_type, "param": param, "code": failure.code}
    return JSONResponse({"error": error}, failure.status, dict(failure.headers))


def check_body(body: Any, required: str) -> None:
    """Check that the real API would take this body of a request.

    Raises:
        BadRequestError: it would not.
    """
    if not isinstance(body, Mapping):
        raise BadRequestError("the body of the request is not a JSON object")
    for name in ("model", required):
        if not body.get(name):
            raise BadRequestError(f"Missing required parameter: '{name}'.", name)
    for index, message in enumerate(body.get("messages", ())):
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            raise BadRequestError(f"Invalid value: 'messages[{index}].role'.", f"messages[{index}].role")
    if body.get("stream_options") and not body.get("stream"):
        raise BadRequestError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options"
        )
