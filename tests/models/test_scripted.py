from __future__ import annotations

import subprocess
import sys

import pytest

from trimtab.models.scripted import ScriptedModel
from trimtab.records.charter import Generation
from trimtab.records.conversation import say
from trimtab.records.errors import ModelError

RULES = [("weather", "Sunny."), (r"(?P<who>\w+) is here", r"Hello, \g<who>.")]


def reply_to(model: ScriptedModel, *turns: str, max_tokens: int = 64):
    return model.generate([say(*turns)], Generation(max_tokens=max_tokens))[0]


def test_the_first_rule_that_matches_speaks():
    model = ScriptedModel([("tea", "Tea."), ("tea|milk", "Either.")])
    assert reply_to(model, "milk and TEA").text == "Tea."
    assert reply_to(model, "milk").text == "Either."


def test_only_the_last_user_turn_counts():
    model = ScriptedModel(RULES, default="What?")
    assert reply_to(model, "weather", "Sunny.", "and else").text == "What?"


def test_groups_are_filled_in():
    assert reply_to(ScriptedModel(RULES), "Ann is here").text == "Hello, Ann."


def test_a_long_reply_is_cut_at_max_tokens_words():
    model = ScriptedModel([], default="one two  three four")
    cut = reply_to(model, "count", max_tokens=3)
    assert (cut.text, cut.finish, cut.reply_tokens) == ("one two  three", "length", 3)
    whole = reply_to(model, "count", max_tokens=4)
    assert (whole.text, whole.finish, whole.reply_tokens) == ("one two  three four", "stop", 4)


def test_tokens_are_words():
    assert reply_to(ScriptedModel([]), "a b", "c", "d e f").prompt_tokens == 6


def test_a_stream_makes_up_the_reply():
    model = ScriptedModel([], default="one two\nthree four")
    assert list(model.stream(say("count"), Generation(max_tokens=3))) == ["one", " two", "\nthree"]


def test_a_stream_of_a_reply_that_does_not_come_raises():
    with pytest.raises(ModelError, match="the script says so"):
        list(ScriptedModel([], default=None).stream(say("hello"), Generation()))


def test_each_word_of_an_assistant_turn_has_a_log_probability():
    model = ScriptedModel([])
    assert model.log_probabilities([say("a b", "c d e", "f", "g"), say("a")]) == [[-1.0] * 4, []]


def test_token_ids_are_the_same_in_another_process():
    program = "from trimtab.models.scripted import ScriptedModel as S; print(S([]).tokenise('é b'))"
    elsewhere = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert elsewhere.stdout.strip() == str(ScriptedModel([]).tokenise("é b"))


def test_the_fingerprint_follows_what_can_be_said():
    model = ScriptedModel(RULES)
    assert model.fingerprint == ScriptedModel(RULES, name="other").fingerprint
    assert model.fingerprint != ScriptedModel(RULES[:1]).fingerprint
    assert model.fingerprint != ScriptedModel(RULES, default="Yes.").fingerprint


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (("(", "x"), r"rule 1: '\(' is not a regular expression"),
        (("a", r"\1"), "rule 1: .* invalid group reference 1"),
        (("a", r"\g<who>"), "rule 1: .* unknown group name 'who'"),
    ],
)
def test_a_wrong_rule_is_named(rule, message):
    with pytest.raises(ModelError, match=message):
        ScriptedModel([rule])


def test_a_script_is_read_from_yaml(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text(
        r"""
        name: waiter
        default: Sorry.
        rules:
          - {when: 'table for (\w+)', say: 'For \1.'}
          - {when: crash, say: null}
        """,
        encoding="utf-8",
    )
    model = ScriptedModel.from_file(path)
    assert model.name == "waiter"
    assert reply_to(model, "A table for four").text == "For four."
    assert reply_to(model, "crash").finish == "error"
    assert reply_to(model, "hello").text == "Sorry."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"rules: [{when: '(', say: x}]", "script.yaml: rule 1: .* not a regular expression"),
        (b"rules: [{when: a}]", "script.yaml: rules.0.say: Field required"),
        (b"rules: [{when: a, say: b, how: c}]", "script.yaml: rules.0.how: Extra inputs"),
        (b"rules: [{when: a, say: 3}]", "script.yaml: rules.0.say: .* valid string"),
        (b"rules:\n  - {when: a", "script.yaml:2: not YAML"),
        (b"", "script.yaml: the file: "),
        (b"\xff", "script.yaml: cannot be read"),
    ],
)
def test_a_script_that_makes_no_sense_is_named(tmp_path, content, message):
    path = tmp_path / "script.yaml"
    path.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        ScriptedModel.from_file(path)
    raised.match(message)


def test_a_missing_script_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.yaml: cannot be read"):
        ScriptedModel.from_file(tmp_path / "none.yaml")
