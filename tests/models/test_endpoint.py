from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from trimtab.models.endpoint import EndpointModel
from trimtab.records.charter import Endpoint, Generation
from trimtab.records.conversation import say
from trimtab.records.errors import ModelError
from trimtab.records.reply import Reply

KEY = "sk-very-secret"


def model_at(url: str, **settings) -> EndpointModel:
    return EndpointModel(Endpoint(url=url, name="tiny", **settings), backoff_seconds=0.001)


def ask(model: EndpointModel, text: str = "hello", **generation) -> Reply:
    return model.generate([say(text)], Generation(**generation))[0]


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def hang(exchange) -> None:
    exchange.over.wait(10)


def flood(exchange) -> None:
    exchange.send_in_parts(itertools.repeat(b"x" * 1_000_000))


# What is asked


def test_a_greedy_request(serve):
    server = serve(lambda exchange: exchange.say("hi"))
    conversation = say("hello", system="Be brief.")
    replies = model_at(server.url).generate([conversation], Generation(max_tokens=9, seed=5))
    assert replies == [Reply("hi", "stop", prompt_tokens=7, reply_tokens=3)]
    (exchange,) = server.exchanges
    assert exchange.handler.path == "/v1/chat/completions"
    assert exchange.body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"},
        ],
        "max_tokens": 9,
        "temperature": 0.0,
    }


def test_a_sampled_request_carries_its_seed(serve):
    server = serve(lambda exchange: exchange.say("hi"))
    ask(model_at(server.url), temperature=0.7, seed=5)
    assert server.exchanges[0].body["temperature"] == 0.7
    assert server.exchanges[0].body["seed"] == 5


@pytest.mark.parametrize("text", ["Grüße, 你好 \u2028 🦜", "half an emoji: \ud83d"])
def test_text_goes_out_as_it_is(serve, text):
    server = serve(lambda exchange: exchange.say("ok"))
    assert ask(model_at(server.url), text).text == "ok"
    assert server.exchanges[0].asked == text


# What is answered


def test_replies_come_in_order_although_answers_do_not(serve):
    def behave(exchange):
        time.sleep(0.002 * (9 - int(exchange.asked)))
        exchange.say(f"it is {exchange.asked}")

    arrived: list[int] = []
    replies = model_at(serve(behave).url, in_flight=10).generate(
        [say(str(n)) for n in range(10)],
        Generation(),
        lambda position, _: arrived.append(position),
    )
    assert [reply.text for reply in replies] == [f"it is {n}" for n in range(10)]
    assert sorted(arrived) == list(range(10))


def test_in_flight_requests_are_under_way_at_once_and_no_more(serve):
    in_flight = 40
    lock, under_way, most = threading.Lock(), 0, 0
    full = threading.Event()

    def behave(exchange):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            if under_way == in_flight:
                full.set()
        assert full.wait(5)
        with lock:
            under_way -= 1
        exchange.say("hi")

    model = model_at(serve(behave).url, in_flight=in_flight)
    model.generate([say("hello")] * 100, Generation())
    assert most == in_flight


def test_it_works_inside_a_running_loop(serve):
    model = model_at(serve(lambda exchange: exchange.say("hi")).url)

    async def notebook_cell() -> Reply:
        return ask(model)

    assert asyncio.run(notebook_cell()).text == "hi"


def test_on_reply_is_called_on_the_callers_thread(serve):
    threads: list[threading.Thread] = []
    model_at(serve(lambda exchange: exchange.say("hi")).url).generate(
        [say("hello")], Generation(), lambda *_: threads.append(threading.current_thread())
    )
    assert threads == [threading.current_thread()]


def test_the_token_limit_shows_in_the_finish(serve):
    server = serve(lambda exchange: exchange.say("hi th", finish_reason="length"))
    assert ask(model_at(server.url)).finish == "length"


def test_calls_of_tools_are_the_text_where_there_is_no_other(serve):
    calls = [{"id": "1", "type": "function", "function": {"name": "book", "arguments": "{}"}}]
    message = {"content": None, "tool_calls": calls}
    answer = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    server = serve(lambda exchange: exchange.send(200, json.dumps(answer).encode()))
    reply = ask(model_at(server.url))
    assert json.loads(reply.text) == calls
    assert (reply.finish, reply.reply_tokens) == ("stop", 0)


# What may pass


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(serve, status):
    def behave(exchange):
        if exchange.number < 2:
            exchange.send(status, b"busy")
        else:
            exchange.say("hi")

    assert ask(model_at(serve(behave).url, retries=2)).text == "hi"


def test_a_lost_connection_is_tried_again(serve):
    def behave(exchange):
        if exchange.number == 0:
            exchange.handler.close_connection = True
        else:
            exchange.say("hi")

    assert ask(model_at(serve(behave).url)).text == "hi"


def test_retry_after_is_waited_for(serve):
    def behave(exchange):
        if exchange.number == 0:
            exchange.send(429, b"slow down", Retry_After="0.3")
        else:
            exchange.say("hi")

    started = time.monotonic()
    assert ask(model_at(serve(behave).url)).text == "hi"
    assert 0.3 <= time.monotonic() - started < 2


def test_a_server_that_always_fails_gives_an_error_with_what_it_said(serve):
    server = serve(lambda exchange: exchange.send(500, b"out of\nmemory"))
    reply = ask(model_at(server.url, retries=3))
    assert (reply.text, reply.finish) == ("", "error")
    assert reply.error == "the server answered 500: out of memory (tries: 4)"
    assert len(server.exchanges) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Welcome</html>", r"Invalid JSON: .*<html>Welcome</html>"),
        (b"", "Invalid JSON"),
        (b"[]", "not a chat completion"),
        (b'{"error": "overloaded"}', "choices: Field required: .*overloaded"),
        (b'{"choices": []}', "choices: .* at least 1 item"),
        (b'{"choices": [{"message": {"content": null}}]}', "no content"),
        (b'{"choices": [{"message": {"content": 3}}]}', "choices.0.message.content: .* string"),
        (b'{"choices": [{"message": {"content": "\\ud83d"}}]}', "Invalid JSON: .* hex escape"),
    ],
)
def test_an_answer_that_is_no_reply_is_tried_again_and_then_an_error(serve, content, message):
    server = serve(lambda exchange: exchange.send(200, content))
    reply = ask(model_at(server.url, retries=1))
    assert reply.finish == "error"
    assert re.search(message, reply.error)
    assert len(server.exchanges) == 2


# Time and size


def test_a_server_that_hangs_is_cut_off(serve):
    server = serve(hang)
    reply = ask(model_at(server.url, timeout_seconds=0.1, retries=1))
    assert reply.error == "no whole answer within 0.1 seconds (tries: 2)"


def test_a_server_that_trickles_is_cut_off(serve):
    def drops(exchange) -> Iterator[bytes]:
        while not exchange.over.wait(0.01):
            yield b" "

    server = serve(lambda exchange: exchange.send_in_parts(drops(exchange)))
    reply = ask(model_at(server.url, timeout_seconds=0.2, retries=0))
    assert reply.error == "no whole answer within 0.2 seconds (tries: 1)"


def test_an_answer_of_hostile_size_is_cut_off_and_not_asked_for_again(serve):
    server = serve(flood)
    assert (
        ask(model_at(server.url)).error == "the answer is longer than 10,000,000 bytes (tries: 1)"
    )


def test_an_interrupt_ends_the_requests_under_way(serve):
    def behave(exchange):
        if exchange.number == 15:  # all that are in flight have come
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        hang(exchange)

    server = serve(behave)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        model_at(server.url, in_flight=16).generate([say("hello")] * 50, Generation())
    assert time.monotonic() - started < 5
    assert len(server.exchanges) == 16


# What will not pass


def test_a_server_that_refuses_the_first_connections_is_an_error_at_once():
    url = f"http://127.0.0.1:{closed_port()}/v1"
    model = EndpointModel(Endpoint(url=url, name="tiny"))  # with waits as they really are
    started = time.monotonic()
    with pytest.raises(ModelError, match="cannot connect") as raised:
        model.generate([say("hello")] * 1000, Generation())
    assert time.monotonic() - started < 1
    assert raised.value.where == f"{url}/chat/completions"
    assert raised.value.fix.startswith("Start the server")


def test_a_server_that_goes_away_ends_the_work(serve):
    def behave(exchange):
        exchange.handler.server.socket.close()  # no new connections
        exchange.handler.close_connection = True
        exchange.say("the last")

    replies: list[Reply] = []
    model = model_at(serve(behave).url, in_flight=1, retries=2)
    with pytest.raises(ModelError, match="cannot connect"):
        model.generate([say("a"), say("b")], Generation(), lambda _, reply: replies.append(reply))
    assert [reply.text for reply in replies] == ["the last"]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_is_an_error_for_itself(serve, status):
    def behave(exchange):
        if exchange.asked == "too long":
            exchange.send(status, b"context too long")
        else:
            exchange.say("hi")

    server = serve(behave)
    refused, came = model_at(server.url).generate([say("too long"), say("hello")], Generation())
    assert refused.error == f"the server answered {status}: context too long (tries: 1)"
    assert came.text == "hi"
    assert len(server.exchanges) == 2


@pytest.mark.parametrize(
    ("status", "fix"),
    [(401, "key_env"), (403, "key_env"), (404, "'tiny'"), (405, "/v1"), (301, "/v1")],
)
def test_what_would_fail_every_request_is_raised(serve, status, fix):
    server = serve(lambda exchange: exchange.send(status, b"no"))
    with pytest.raises(ModelError, match=f"the server answered {status}: no") as raised:
        model_at(server.url, in_flight=1).generate([say("hello")] * 5, Generation())
    assert fix in raised.value.fix
    assert len(server.exchanges) == 1


@pytest.mark.parametrize(
    "url", ["http://", "https://:8000/v1", "http://[/v1", "http://localhost:80000/v1"]
)
def test_what_is_no_address_is_said_at_once(url):
    with pytest.raises(ModelError, match="not an address"):
        model_at(url)


# The key


def test_the_key_goes_into_the_header(serve, monkeypatch):
    monkeypatch.setenv("THEIR_KEY", f"{KEY}\n")
    server = serve(lambda exchange: exchange.say("hi"))
    ask(model_at(server.url, key_env="THEIR_KEY"))
    assert server.exchanges[0].handler.headers["Authorization"] == f"Bearer {KEY}"


def test_without_a_key_no_header_is_sent(serve):
    server = serve(lambda exchange: exchange.say("hi"))
    ask(model_at(server.url))
    assert server.exchanges[0].handler.headers["Authorization"] is None


def test_the_key_is_never_shown(serve, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("THEIR_KEY", KEY)

    def behave(exchange):
        sent = exchange.handler.headers["Authorization"].encode()
        exchange.send(500 if exchange.asked == "fail" else 401, b"you sent " + sent)

    model = model_at(serve(behave).url, key_env="THEIR_KEY", retries=0)
    error = ask(model, "fail").error
    with pytest.raises(ModelError, match="THEIR_KEY") as raised:
        ask(model)
    for shown in (error, str(raised.value), repr(model), model.fingerprint, caplog.text):
        assert KEY not in shown
    assert "you sent Bearer [key]" in error


def test_the_fingerprint_does_not_depend_on_the_key(monkeypatch):
    monkeypatch.setenv("THEIR_KEY", KEY)
    url = "http://localhost:1/v1"
    plain = model_at(url)
    assert plain.fingerprint == model_at(f"{url}/", key_env="THEIR_KEY").fingerprint
    assert plain.fingerprint != model_at("http://localhost:2/v1").fingerprint


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_missing_key_is_named(monkeypatch, key):
    monkeypatch.delenv("THEIR_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("THEIR_KEY", key)
    with pytest.raises(ModelError, match="THEIR_KEY is not set"):
        model_at("http://localhost:1/v1", key_env="THEIR_KEY")


@pytest.mark.parametrize("key", ["two words", "schlüssel", "a\nb"])
def test_what_cannot_be_a_key_is_not_repeated(monkeypatch, key):
    monkeypatch.setenv("THEIR_KEY", key)
    with pytest.raises(ModelError, match="THEIR_KEY holds no key") as raised:
        model_at("http://localhost:1/v1", key_env="THEIR_KEY")
    assert key not in str(raised.value)


# Streaming


def event(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"delta": {"content": text}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode()


def stream(server, **settings) -> Iterator[str]:
    return model_at(server.url, **settings).stream(say("hello"), Generation())


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", event("", "stop") + b"\n\n"])
def test_a_stream_yields_pieces_until_its_end(serve, end):
    pieces = ["Grü", "ße\u2028", "🦜"]
    sent = b": keep-alive\r\n\r\n" + b"".join(event(piece) + b"\r\n\r\n" for piece in pieces) + end
    parts = [sent[n : n + 5] for n in range(0, len(sent), 5)]  # split inside characters
    server = serve(lambda exchange: exchange.send_in_parts(parts))
    assert list(stream(server)) == pieces
    assert server.exchanges[0].body["stream"] is True


def test_pieces_arrive_while_the_answer_goes_on(serve):
    go_on = threading.Event()

    def parts(exchange) -> Iterator[bytes]:
        yield event("first") + b"\n\n"
        assert go_on.wait(5)
        yield event("second", "stop") + b"\n\n"

    pieces = stream(serve(lambda exchange: exchange.send_in_parts(parts(exchange))))
    assert next(pieces) == "first"
    go_on.set()
    assert list(pieces) == ["second"]


def test_a_stream_that_is_left_ends_its_request(serve):
    hung_up = threading.Event()

    def parts(exchange) -> Iterator[bytes]:
        try:
            while not exchange.over.wait(0.01):
                yield event("and so on") + b"\n\n"
        finally:
            hung_up.set()

    pieces = stream(serve(lambda exchange: exchange.send_in_parts(parts(exchange))))
    next(pieces)
    pieces.close()
    assert hung_up.wait(5)


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        (lambda exchange: exchange.send(500, b"oops"), "the server answered 500: oops"),
        (lambda exchange: exchange.send(401, b"who?"), "the server answered 401: who?"),
        (lambda exchange: exchange.say("at once"), "does the server stream"),
        (lambda exchange: exchange.send_in_parts([event("hi")]), "ended before the reply did"),
        (lambda exchange: exchange.send_in_parts([b'data: {"error": 1}\n']), "choices: Field"),
        (flood, "longer than 10,000,000 bytes"),
        (hang, "no whole answer within 0.5 seconds"),
    ],
)
def test_a_stream_that_fails_raises(serve, behave, message):
    with pytest.raises(ModelError) as raised:
        list(stream(serve(behave), timeout_seconds=0.5))
    raised.match(message)


# What an endpoint cannot tell


def test_log_probabilities_and_token_ids_are_refused():
    model = model_at("http://localhost:1/v1")
    with pytest.raises(ModelError, match="cannot tell the probabilities"):
        model.log_probabilities([say("a", "b")])
    with pytest.raises(ModelError, match="cannot tell its token ids"):
        model.tokenise("a")
