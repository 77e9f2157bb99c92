"""One connection, many users: what a request was is over with its response."""

from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serving import free_port, serving

HERE = str(Path(__file__).parent)


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_an_anonymous_request_after_a_logged_in_one_on_the_same_connection_is_anonymous(
    server: str, tmp_path: Path
) -> None:
    port = free_port()
    command = {
        "uvicorn": f"uvicorn --port {port} --app-dir {HERE} echo_apps:asgi_app",
        "gunicorn": f"gunicorn --bind 127.0.0.1:{port} --worker-class gthread "
        f"--pythonpath {HERE} echo_apps:wsgi_app",
    }[server]
    with serving(["-m", *command.split()], port, tmp_path) as url:
        connection = HTTPConnection(urlsplit(url).netloc)
        connection.connect()
        socket = connection.sock

        def ask(path: str = "/", **headers: str) -> str:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse().read().decode()
            assert connection.sock is socket, "the connection was not kept"
            return answer

        assert ask() == "anonymous"
        for _ in range(3):
            assert ask(**{"X-User": "alice"}) == "alice"
            assert ask() == "anonymous"
            assert ask("/?bind=bob") == "bob"
            assert ask() == "anonymous"
            assert ask("/?bind=carol") == "carol"
            assert ask(**{"X-User": "alice"}) == "alice"
        connection.close()
