"""A Flask application with flask-login, under gunicorn: two processes of four threads share one memory.

    python examples/flask_app.py

It prints what to try.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import flask
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from openai import OpenAI
from stand_in import MODEL, model_server, port_to_serve

from headroom import MemoryConfig, bind, current_memory, with_memory
from headroom.wsgi import MemoryMiddleware


class User(UserMixin):
    """A user, of whom this application knows nothing but the name."""

    def __init__(self, name: str) -> None:
        self.id = name


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.secret_key = os.environ["FLASK_SECRET_KEY"]  # the same in all processes
    app.wsgi_app = MemoryMiddleware(app.wsgi_app, memory=MemoryConfig(db_path="flask.db"))
    LoginManager(app).user_loader(User)
    client = with_memory(OpenAI())  # one for everybody

    @app.before_request
    def scope_by_login() -> None:
        if current_user.is_authenticated:
            bind(user_id=current_user.get_id())

    @app.post("/login")
    def login() -> str:
        login_user(User(flask.request.form["name"]))  # a demonstration needs no password; yours does
        return f"Hello, {current_user.get_id()}.\n"

    @app.post("/ask")
    @login_required
    def ask() -> flask.Response:
        question = flask.request.form["text"]

        def answer() -> Iterator[str]:
            stream = client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": question}], stream=True
            )
            for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content
            yield "\n"

        return flask.Response(answer(), mimetype="text/plain")

    @app.get("/memories")
    @login_required
    def memories() -> list[str]:
        return [memory.content for memory in current_memory().get_all()]

    return app


if __name__ == "__main__":
    port = port_to_serve()
    url = f"http://127.0.0.1:{port}"
    os.environ.setdefault("FLASK_SECRET_KEY", secrets.token_hex())
    gunicorn = [sys.executable, "-m", "gunicorn", "--pythonpath", str(Path(__file__).parent)]
    gunicorn += ["--worker-class", "gthread", "--workers", "2", "--threads", "4"]
    gunicorn += ["--bind", f"127.0.0.1:{port}", "--log-level", "warning", "flask_app:flask_app()"]
    with model_server():
        print(f"""Try, for alice and in the same way for bob:
  curl {url}/login -c alice.cookies -d name=alice
  curl {url}/ask -b alice.cookies -d 'text=I prefer Python for backend work.'
  curl {url}/ask -b alice.cookies -d 'text=Which language should I use for backend work?'
  curl {url}/memories -b alice.cookies""")
        with subprocess.Popen(gunicorn) as server:  # noqa: S603 - our own command
            for stop in (signal.SIGINT, signal.SIGTERM):
                signal.signal(stop, lambda *_: server.terminate())
