"""A real HTTP server for the tests of what asks one."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Exchange:
    """One request that the server got, and the means to answer it."""

    handler: BaseHTTPRequestHandler
    number: int  # how many requests came before
    body: dict[str, Any]
    over: threading.Event  # set when the test ends

    @property
    def asked(self) -> str:
        return self.body["messages"][-1]["content"]

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Content-Length", str(len(content)))
        self.handler.end_headers()
        self.handler.wfile.write(content)

    def say(self, text: str, finish_reason: str = "stop") -> None:
        choice = {"message": {"content": text}, "finish_reason": finish_reason}
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        self.send(200, json.dumps({"choices": [choice], "usage": usage}).encode())

    def send_in_parts(self, parts: Iterable[bytes]) -> None:
        """An answer of unknown length, which ends with the connection."""
        self.handler.send_response(200)
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()
        for part in parts:
            self.handler.wfile.write(part)
            self.handler.wfile.flush()


@dataclass
class Server:
    url: str
    exchanges: list[Exchange] = field(default_factory=list)


Behave = Callable[[Exchange], None]


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False  # so that closing waits for them

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of these tests."""


@pytest.fixture
def serve() -> Iterator[Callable[[Behave], Server]]:
    """Starts a server that behaves as told: `server = serve(lambda exchange: ...)`."""
    over = threading.Event()
    listeners: list[tuple[_Listener, threading.Thread]] = []

    def start(behave: Behave) -> Server:
        numbers = itertools.count()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                exchange = Exchange(self, next(numbers), body, over)
                server.exchanges.append(exchange)
                behave(exchange)

            def log_message(self, *args: object) -> None:
                pass

        listener = _Listener(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=listener.serve_forever, args=[0.01])
        thread.start()
        listeners.append((listener, thread))
        server = Server(f"http://127.0.0.1:{listener.server_port}/v1")
        return server

    yield start
    over.set()
    for listener, thread in listeners:
        listener.shutdown()
        listener.server_close()
        thread.join()
