"""What is trained stands after exactly the ids that stand before it in use."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from trimtab.models.turns import PLAIN_TEMPLATE, Encoded, encode_example, encode_prompt
from trimtab.records.conversation import Conversation, Message, ToolCall, say
from trimtab.records.errors import ModelError

CONVERSATIONS = {
    "one turn": say("Hello", "Hi there!"),
    "system turn": say("Hello", "Hi there!", system="Be brief."),
    "three turns": say("Hi", "Hello!", "A table?", "For how many?", "Two", "Done.", system="Book."),
    "repeated texts": say("yes", "yes", "yes", "yes", "yes", "yes"),
    "empty reply": say("Say nothing.", ""),
    "empty reply between": say("Say nothing.", "", "Now speak.", "Very well."),
    "newline first": say("A poem", "\nRoses\n\n\nare red\n"),
    "space first": say("A word", " word "),
    "digits at the border": say("Count", "1234567890 7"),
    "other scripts": say("日本語で", "はい、わかりました 🙂"),
    "ends with the user": say("Hello", "Hi there!", "And now?"),
    "text of the headings": say("user\nassistant", "assistant\nuser\n"),
}


def learned_runs(encoded: Encoded) -> list[tuple[int, int]]:
    """The half-open ranges of ids that are learned, one after the other."""
    runs = []
    start = None
    for position, flag in enumerate([*encoded.learned, False]):
        if flag and start is None:
            start = position
        if not flag and start is not None:
            runs.append((start, position))
            start = None
    return runs


def replies(conversation: Conversation) -> list[tuple[int, str]]:
    return [(n, m.content) for n, m in enumerate(conversation) if m.role == "assistant"]


@pytest.fixture
def plain(tokenizer: Any) -> Any:
    """The tokenizer as one of a model without a chat template would be."""
    plain = copy.deepcopy(tokenizer)
    plain.chat_template = PLAIN_TEMPLATE
    return plain


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_reply_is_trained_after_the_ids_that_precede_it_in_use(name: str, tokenizer: Any) -> None:
    conversation = CONVERSATIONS[name]
    encoded = encode_example(tokenizer, conversation, {tokenizer.eos_token_id})
    runs = learned_runs(encoded)
    assert len(runs) == len(replies(conversation))
    for (start, _), (turn, _) in zip(runs, replies(conversation), strict=True):
        assert list(encoded.ids[:start]) == encode_prompt(tokenizer, conversation[:turn])


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_what_is_learned_is_the_reply_and_one_terminator(name: str, tokenizer: Any) -> None:
    encoded = encode_example(tokenizer, CONVERSATIONS[name], {tokenizer.eos_token_id})
    for (start, end), (_, text) in zip(
        learned_runs(encoded), replies(CONVERSATIONS[name]), strict=True
    ):
        run = list(encoded.ids[start:end])
        assert run.count(tokenizer.eos_token_id) == 1
        assert run[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(run) == text + "<|im_end|>"


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_nothing_of_the_rendered_text_is_lost(name: str, tokenizer: Any) -> None:
    encoded = encode_example(tokenizer, CONVERSATIONS[name], {tokenizer.eos_token_id})
    messages = [message.as_dict() for message in CONVERSATIONS[name]]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode(list(encoded.ids)) == text


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_plain_template_keeps_the_same_promises(name: str, plain: Any) -> None:
    conversation = CONVERSATIONS[name]
    encoded = encode_example(plain, conversation, {plain.eos_token_id})
    for (start, end), (turn, text) in zip(
        learned_runs(encoded), replies(conversation), strict=True
    ):
        assert list(encoded.ids[:start]) == encode_prompt(plain, conversation[:turn])
        assert plain.decode(list(encoded.ids[start:end])) == text + plain.eos_token


def test_the_terminator_is_learned_although_it_is_the_padding_too(tokenizer: Any) -> None:
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    encoded = encode_example(tokenizer, say("a", "b"), {tokenizer.eos_token_id})
    last = max(n for n, token in enumerate(encoded.ids) if token == tokenizer.eos_token_id)
    assert encoded.learned[last]
    assert not any(encoded.learned[last + 1 :])  # the template's newline is no part of a reply


def test_terminators_of_other_turns_are_not_learned(tokenizer: Any) -> None:
    conversation = say("a", "b", "c", "d", system="e")
    encoded = encode_example(tokenizer, conversation, {tokenizer.eos_token_id})
    ends = [n for n, token in enumerate(encoded.ids) if token == tokenizer.eos_token_id]
    assert [encoded.learned[n] for n in ends] == [False, False, True, False, True]


def test_a_row_without_an_assistant_turn_teaches_nothing(tokenizer: Any) -> None:
    encoded = encode_example(tokenizer, say("Hello"), {tokenizer.eos_token_id})
    assert len(encoded) > 0
    assert not any(encoded.learned)


def test_a_reply_that_holds_a_terminator_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ModelError, match="holds the text of a terminator"):
        encode_example(tokenizer, say("a", "b<|im_end|>c"), {tokenizer.eos_token_id})


def test_a_template_without_terminator_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ModelError, match="without a terminator"):
        encode_example(tokenizer, say("a", "b"), {tokenizer.unk_token_id})


def test_a_template_that_rewrites_earlier_turns_is_refused(tokenizer: Any) -> None:
    forgetful = copy.deepcopy(tokenizer)
    forgetful.chat_template = (
        "{% for m in messages %}{% if loop.last or m.role != 'assistant' %}"
        "{{ m.role + ':' + m.content + eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    assert encode_example(forgetful, say("a", "b"), {tokenizer.eos_token_id})
    with pytest.raises(ModelError, match="rewrites earlier turns"):
        encode_example(forgetful, say("a", "b", "c", "d"), {tokenizer.eos_token_id})


def test_tool_calls_that_the_template_drops_are_refused(tokenizer: Any) -> None:
    calls = (ToolCall("book_table", '{"guests": 2}'),)
    conversation = (*say("A table for two"), Message("assistant", "", tool_calls=calls))
    with pytest.raises(ModelError, match="'book_table' is lost"):
        encode_example(tokenizer, conversation, {tokenizer.eos_token_id})


def test_a_template_gets_the_arguments_of_calls_as_an_object(tokenizer: Any) -> None:
    knowing = copy.deepcopy(tokenizer)
    knowing.chat_template = (
        "{% for m in messages %}{{ '<' + m.role + '>' + m.content }}"
        "{% for call in m.tool_calls or [] %}"
        "{{ call.function.name + ' for ' + call.function.arguments.guests | string }}"
        "{% endfor %}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    calls = (ToolCall("book_table", '{"guests": 2}'),)
    conversation = (*say("A table for two"), Message("assistant", "", tool_calls=calls))
    encoded = encode_example(knowing, conversation, {tokenizer.eos_token_id})
    ((start, end),) = learned_runs(encoded)
    assert tokenizer.decode(list(encoded.ids[start:end])) == "book_table for 2<|im_end|>"


def test_a_row_that_opens_with_the_assistant_is_refused(tokenizer: Any) -> None:
    conversation = (Message("assistant", "Welcome!"), Message("user", "Hello"))
    with pytest.raises(ModelError, match="open with the assistant"):
        encode_example(tokenizer, conversation, {tokenizer.eos_token_id})
