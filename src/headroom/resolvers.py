"""How a request says who is asking: what the resolvers of the ASGI and the WSGI middleware share."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from starlette.routing import compile_path

from headroom.errors import ConfigurationError, InvalidScopeError, MissingDependencyError
from headroom.scope import Scope, check_identifier

if TYPE_CHECKING:
    from itsdangerous import URLSafeTimedSerializer

_COOKIE_SALT: Final = "headroom.signed_cookie."
"""Keeps what was signed for another purpose under the same key from being taken for one of these cookies."""


class FromClient(str):
    """An identifier as the client sent it: where it cannot be one, the client gets a 400.

    A bad identifier of any other origin is the application's mistake and raised as InvalidScopeError. A
    resolver of your own that passes on what the client may have made up says so by returning
    `FromClient(value)`.
    """

    __slots__ = ()


class RejectedRequestError(Exception):
    """The client sent an identifier that cannot be one; the message is fit to be shown to it."""


def resolved_scope(user: object, session: object, agent: object) -> Scope:
    """The scope of a user's request, from what its resolvers returned.

    Raises:
        RejectedRequestError: the client sent an identifier that cannot be one.
        InvalidScopeError: the application made one.
    """
    return Scope(_checked(user, "user_id"), _checked(session, "session_id"), _checked(agent, "agent_id"))


def _checked(value: object, part: str) -> str | None:
    if value is None:
        return None
    try:
        return str(check_identifier(value, part))
    except InvalidScopeError as error:
        if isinstance(value, FromClient):
            raise RejectedRequestError(str(error)) from None
        raise


def path_reader(template: str, name: str | None) -> Callable[[str], FromClient | None]:
    """A function that reads one parameter out of a path; see `headroom.asgi.path_parameter`."""
    try:
        pattern, _, parameters = compile_path(template)
    except (AssertionError, ValueError) as error:
        raise ConfigurationError(f"the path template {template!r} cannot be read: {error}") from None
    wanted = name or next(reversed(parameters), "")
    if not template.startswith("/") or wanted not in parameters:
        raise ConfigurationError(
            f"{template!r} is no path template with a parameter {name or ''}; "
            'write it like a route, e.g. path_parameter("/threads/{thread_id}")'
        )
    here_or_below = re.compile(pattern.pattern.removesuffix("$") + "(?:/|$)")

    def read(path: str) -> FromClient | None:
        match = here_or_below.match(path)
        return FromClient(match[wanted]) if match else None

    return read


def cookie_signer(name: str, secret_key: str | Sequence[str]) -> "URLSafeTimedSerializer":
    """What signs the cookie `name` for the resolver `signed_cookie(name, secret_key)`.

    ::

        response.set_cookie("who", cookie_signer("who", SECRET_KEY).dumps(user.id), httponly=True)

    Raises:
        ConfigurationError: a key is empty, so that anybody could sign.
        MissingDependencyError: itsdangerous is not installed.
    """
    try:
        from itsdangerous import URLSafeTimedSerializer  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise MissingDependencyError("itsdangerous", "web") from None
    keys = [secret_key] if isinstance(secret_key, str | bytes) else secret_key
    if not keys or not all(keys):
        raise ConfigurationError(
            f"a secret key of the cookie {name!r} is empty, so anybody could sign it as any user: "
            "pass none that are (is an environment variable missing that they come from?)"
        )
    return URLSafeTimedSerializer(secret_key, salt=_COOKIE_SALT + name)


def cookie_reader(
    name: str, secret_key: str | Sequence[str], max_age: int | None
) -> Callable[[Mapping[str, str]], str | None]:
    """A function that reads the identifier out of a request's cookies; see `headroom.asgi.signed_cookie`."""
    signer = cookie_signer(name, secret_key)

    def read(cookies: Mapping[str, str]) -> str | None:
        from itsdangerous import BadData  # noqa: PLC0415 - an optional dependency

        try:
            identifier: str = signer.loads(cookies.get(name, ""), max_age=max_age)
        except BadData:
            return None
        return identifier

    return read


def header_text(value: str) -> str:
    """A header's or environ's text, which arrives with each of its bytes as one character."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
