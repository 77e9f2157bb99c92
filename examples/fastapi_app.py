"""A FastAPI application whose dependency says who is asking.

    python examples/fastapi_app.py

It prints what to try. The dependency is a plain function, which FastAPI runs in a thread, and so is the
endpoint: what the one binds the other sees, and so do the background tasks.
"""

from typing import Annotated

import uvicorn
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from openai import OpenAI
from pydantic import BaseModel
from stand_in import MODEL, model_server, port_to_serve

from headroom import MemoryConfig, bind, current_memory, with_memory
from headroom.asgi import MemoryMiddleware

TOKENS = {"alices-token": "alice", "bobs-token": "bob"}  # yours are in a database, and harder to guess


class Question(BaseModel):
    text: str


class Answer(BaseModel):
    text: str


def current_user(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    """Whose token it is; from here on, the request is this user's."""
    user = TOKENS.get(token.credentials)
    if user is None:
        raise HTTPException(401, "unknown token")
    bind(user_id=user)
    return user


User = Annotated[str, Depends(current_user)]


def fastapi_app(db_path: str = "fastapi.db") -> FastAPI:
    app = FastAPI(title="Headroom with FastAPI")
    app.add_middleware(MemoryMiddleware, memory=MemoryConfig(db_path=db_path))
    client = with_memory(OpenAI())  # one for everybody

    @app.post("/ask")
    def ask(question: Question, user: User, background: BackgroundTasks) -> Answer:
        response = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": question.text}]
        )
        background.add_task(count_memories, user)
        return Answer(text=response.choices[0].message.content or "")

    @app.get("/memories")
    def memories(_: User) -> list[str]:
        return [memory.content for memory in current_memory().get_all()]

    return app


def count_memories(user: str) -> None:
    """A background task is still the user's."""
    print(f"{user} has {current_memory().stats()['total']} memories now")


if __name__ == "__main__":
    port = port_to_serve()
    url = f"http://127.0.0.1:{port}"
    with model_server():
        print(f"""Try:
  curl {url}/ask -H 'authorization: bearer alices-token' -H 'content-type: application/json' \\
       -d '{{"text": "I prefer Python for backend work."}}'
  curl {url}/ask -H 'authorization: bearer alices-token' -H 'content-type: application/json' \\
       -d '{{"text": "Which language should I use for backend work?"}}'
  curl {url}/memories -H 'authorization: bearer bobs-token'""")
        uvicorn.run(fastapi_app(), host="127.0.0.1", port=port, log_level="warning")
