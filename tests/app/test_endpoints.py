"""What the command line says of a server that does not answer as it should."""

from __future__ import annotations

import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Answer = Callable[[BaseHTTPRequestHandler, str], None]


class Listener(ThreadingHTTPServer):
    request_queue_size = 128


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A server on this machine that answers each request text as told; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer(self, body["messages"][-1]["content"])

        def log_message(self, *args: object) -> None:
            pass

    with Listener(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}/v1"
        finally:
            listener.shutdown()
            thread.join()


def send(handler: BaseHTTPRequestHandler, status: int, content: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content.encode())


def say(handler: BaseHTTPRequestHandler, text: str) -> None:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    send(handler, 200, json.dumps({"choices": [choice]}))


@pytest.fixture
def measure(trimtab: Any, make_bot: Callable[[str], Path]) -> Callable[..., Any]:
    """Measure a charter whose model is at an address, each request tried once."""

    def run(url: str, *options: str, timeout_seconds: float = 30) -> Any:
        model = f"{{url: '{url}', name: tiny, retries: 0, timeout_seconds: {timeout_seconds}}}"
        charter = make_bot(model)
        return trimtab("measure", charter, "--out", charter.parent / "runs" / "zero", *options)

    return run


def rows(table: str) -> dict[str, list[str]]:
    """The cells of each clause's row."""
    lines = (line.split("  ") for line in table.splitlines())
    cells = ([cell.strip() for cell in line if cell.strip()] for line in lines)
    return {row[0]: row[1:] for row in cells if row}


def test_a_server_that_refuses_connections_is_one_message(measure: Any) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    ran = measure(url)
    assert ran.code == 2
    assert f"error: {url}/chat/completions: cannot connect" in ran.err
    assert "Start the server" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("answer", "timeout_seconds", "reason"),
    [
        (
            lambda handler, _: send(handler, 500, "out of \x1b[31mmemory"),
            30,
            "the server answered 500: out of ⟨U+001B⟩[31mmemory (tries: 1)",
        ),
        (
            lambda handler, _: send(handler, 200, "<html>Welcome</html>"),
            30,
            "not a chat completion: Invalid JSON: expected value at line 1 column 1: "
            "<html>Welcome</html> (tries: 1)",
        ),
        (
            lambda handler, _: handler.rfile.read(1),  # until the client hangs up
            0.3,
            "no whole answer within 0.3 seconds (tries: 1)",
        ),
    ],
    ids=["500", "HTML", "hangs"],
)
def test_why_no_reply_came_is_said_and_no_rate_is_made_up(
    measure: Any, answer: Answer, timeout_seconds: float, reason: str
) -> None:
    with server(answer) as url:
        ran = measure(url, timeout_seconds=timeout_seconds)
    assert ran.code == 1
    assert f"warning: 16 of 16 replies never came; the first: {reason}\n" in ran.err
    assert "with another --out" in ran.err
    assert "Traceback" not in ran.err
    table = rows(ran.out)
    for clause in ("book", "recipes", "sums", "cards"):
        _, rate, interval, n, _, verdict, errors = table[clause]
        assert (rate, interval, n, verdict, errors) == ("–", "–", "0", "undecided", "4 errors")


def test_the_replies_that_came_are_counted(measure: Any) -> None:
    def answer(handler: BaseHTTPRequestHandler, asked: str) -> None:
        if "cook" in asked:
            send(handler, 503, "busy")
        else:
            say(handler, "A table, of course.")

    with server(answer) as url:
        ran = measure(url, "--json")
    assert "warning: 4 of 16 replies never came; the first: the server answered 503" in ran.err
    results = {result["clause"]: result for result in json.loads(ran.out)["clauses"]}
    assert (results["book"]["n"], results["book"]["rate"]) == (4, 1.0)
    assert (results["recipes"]["n"], results["recipes"]["errors"]) == (0, 4)


def test_what_a_server_says_in_a_chat_cannot_steer_the_terminal(
    trimtab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\n"))
    with server(lambda handler, _: send(handler, 500, "\x1b[2Jbusy")) as url:
        ran = trimtab("chat", f"{url}#tiny")
    assert ran.code == 2
    assert "the server answered 500: ⟨U+001B⟩[2Jbusy" in ran.err
