"""What every Model promises, whichever it is."""

from __future__ import annotations

import pytest

from trimtab.models.endpoint import EndpointModel
from trimtab.models.scripted import ScriptedModel
from trimtab.records.charter import Endpoint, Generation
from trimtab.records.conversation import say
from trimtab.records.protocols import Model
from trimtab.records.reply import Reply


@pytest.fixture(params=["scripted", "endpoint"])
def echo(request, serve) -> Model:
    """A model that repeats what it is asked, and fails to reply to "fail"."""
    if request.param == "scripted":
        return ScriptedModel([("^fail$", None), ("(.*)", r"\1")])

    def behave(exchange):
        if exchange.asked == "fail":
            exchange.send(500, b"")
        else:
            exchange.say(exchange.asked)

    server = serve(behave)
    return EndpointModel(Endpoint(url=server.url, name="echo", in_flight=4, retries=0))


def test_it_is_a_model(echo):
    assert isinstance(echo, Model)
    assert echo.name
    assert echo.fingerprint == echo.fingerprint


def test_replies_keep_the_order_of_the_conversations(echo):
    asked = [f"number {n}" for n in range(20)]
    replies = echo.generate([say(text) for text in asked], Generation())
    assert [reply.text for reply in replies] == asked


def test_empty_input_gives_no_replies(echo):
    assert echo.generate([], Generation()) == []


def test_on_reply_is_called_once_for_each_with_the_reply_that_is_returned(echo):
    seen: list[tuple[int, Reply]] = []
    asked = [say(f"number {n}") for n in range(20)]
    replies = echo.generate(asked, Generation(), lambda *arrived: seen.append(arrived))
    assert sorted(seen, key=lambda arrived: arrived[0]) == list(enumerate(replies))


def test_an_exception_of_on_reply_reaches_the_caller(echo):
    def stop(position, reply):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        echo.generate([say("a"), say("b")], Generation(), stop)


def test_a_reply_that_cannot_be_had_is_a_reply_with_an_error(echo):
    failed, came = echo.generate([say("fail"), say("hello")], Generation())
    assert (failed.text, failed.finish) == ("", "error")
    assert failed.error
    assert (came.text, came.finish, came.error) == ("hello", "stop", None)
