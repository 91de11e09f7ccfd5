"""What is written reads back equal, and what is broken is named by file and line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.records.charter import Charter, Clause, Endpoint, PoolFile, TuneConfig
from trimtab.records.comparison import Comparison
from trimtab.records.conversation import say
from trimtab.records.errors import RunError
from trimtab.records.example import Example
from trimtab.records.plan import Plan, PlanRow
from trimtab.records.probe import CheckSpec, Probe, Suite
from trimtab.records.profile import Interval, Loss, Profile
from trimtab.records.reply import Judgement, Reply, Score
from trimtab.records.request import Request
from trimtab.records.row import Row
from trimtab.records.story import Story
from trimtab.store import Journal, read_json, read_jsonl, to_json, write_json, write_jsonl

FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | FINITE,
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(), inside, max_size=2),
    max_leaves=4,
)
OPTIONS = st.dictionaries(st.text(), PLAIN, max_size=2)
CHECKS = st.lists(
    st.text() | st.dictionaries(st.text(), OPTIONS, min_size=1, max_size=1), min_size=1, max_size=2
).map(tuple)
RATES = st.floats(0, 1)
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]*", fullmatch=True)
CLAUSES = st.one_of(
    st.builds(
        Clause, kind=st.just("perform"), id=IDS, requests=st.text(), checks=CHECKS, at_least=RATES
    ),
    st.builds(
        Clause,
        kind=st.just("deflect"),
        id=IDS,
        requests=st.text(),
        reply=st.text(min_size=1),
        at_least=RATES,
    ),
    st.builds(
        Clause,
        kind=st.just("retain"),
        id=IDS,
        requests=st.text(),
        checks=CHECKS,
        lose_at_most=RATES,
        chance=RATES,
    ),
    st.builds(
        Clause, kind=st.just("never"), id=IDS, requests=st.text(), checks=CHECKS, at_most=RATES
    ),
)
ENDPOINTS = st.builds(Endpoint, url=st.just("http://localhost:8000/v1"), name=st.text())
CHARTERS = st.builds(
    Charter,
    name=IDS,
    model=st.text() | ENDPOINTS,
    system=st.none() | st.text(),
    pool=st.lists(st.builds(PoolFile), max_size=1).map(tuple),
    clauses=st.lists(CLAUSES, min_size=1, max_size=2, unique_by=lambda c: c.id).map(tuple),
    tune=st.builds(
        TuneConfig, method=st.just("lora"), lora_rank=st.none() | st.integers(min_value=1)
    ),
)
# What a type alone does not say: numbers are finite, options JSON, and clauses make sense.
st.register_type_strategy(float, FINITE)
st.register_type_strategy(
    Mapping, lambda type_: st.dictionaries(*map(st.from_type, get_args(type_)), max_size=2)
)
st.register_type_strategy(CheckSpec, st.builds(CheckSpec, st.text(), OPTIONS))
st.register_type_strategy(Row, st.builds(Row, columns=OPTIONS))
st.register_type_strategy(Charter, CHARTERS)
st.register_type_strategy(Clause, CLAUSES)

RECORDS = [
    Charter, Clause, Comparison, Example, Interval, Judgement, Loss, Plan, PlanRow, Probe, Profile,
    Reply, Request, Row, Score, Story, Suite,
]  # fmt: skip


class TestRoundTrip:
    @pytest.mark.parametrize("type_", RECORDS)
    def test_every_record_reads_back_equal(self, tmp_path_factory, type_):
        path = tmp_path_factory.mktemp("records") / "rows.jsonl"

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(record=st.from_type(type_))
        def reads_back_equal(record: object) -> None:
            write_json(path, record)
            assert read_json(path, type_) == record
            write_jsonl(path, [record, record])
            assert read_jsonl(path, type_) == [record, record]

        reads_back_equal()

    def test_a_model_keeps_what_it_was_given_and_no_more(self, tmp_path):
        clause = Clause(kind="never", id="harm", requests="r", checks=("complies",), at_most=0.02)
        write_json(tmp_path / "clause.json", clause)
        read = read_json(tmp_path / "clause.json", Clause)
        assert read == clause
        assert read.model_fields_set == clause.model_fields_set

    def test_tuples_mappings_and_none_come_back_as_such(self, tmp_path):
        plan = Plan((PlanRow(Example(say("hi", "yes")), "why"),), {"twin": 3}, {"twin": 1})
        write_json(tmp_path / "plan.json", plan)
        read = read_json(tmp_path / "plan.json", Plan)
        assert isinstance(read.rows, tuple)
        assert isinstance(read.doses, Mapping)
        assert read.rows[0].clause is None

    @pytest.mark.parametrize("separator", ["\n", "\r\n", "\u2028", "\x85", "\x00"])
    def test_separators_of_lines_stay_inside_their_text(self, tmp_path, separator):
        rows = [Judgement(True, f"a{separator}b"), Judgement(False, separator)]
        write_jsonl(tmp_path / "rows.jsonl", rows)
        assert read_jsonl(tmp_path / "rows.jsonl", Judgement) == rows

    def test_no_rows_are_an_empty_file(self, tmp_path):
        write_jsonl(tmp_path / "rows.jsonl", [])
        assert (tmp_path / "rows.jsonl").read_bytes() == b""
        assert read_jsonl(tmp_path / "rows.jsonl", Judgement) == []

    def test_plain_data_may_hold_records(self):
        assert json.loads(to_json({"interval": Interval(0.5, 0.0, 1.0), "rows": (1, 2)})) == {
            "interval": {"value": 0.5, "low": 0.0, "high": 1.0},
            "rows": [1, 2],
        }

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5"])
    def test_a_value_that_would_not_come_back_is_refused(self, tmp_path, value):
        with pytest.raises(ValueError):  # noqa: PT011 -- json's and pydantic's wording differ
            write_json(tmp_path / "interval.json", Interval(value, 0.0, 1.0))
        assert not (tmp_path / "interval.json").exists()


class TestBrokenFiles:
    def error(self, read: Any, path: Path, text: bytes) -> RunError:
        path.write_bytes(text)
        with pytest.raises(RunError) as caught:
            read(path, Judgement)
        return caught.value

    def test_a_broken_line_is_named(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        error = self.error(read_jsonl, path, b'{"holds": true, "why": ""}\n{"holds": tru\n')
        assert error.where == f"{path}:2"
        assert error.what.startswith("Invalid JSON: ")
        assert error.what.endswith("(column 13)")

    def test_a_wrong_field_is_named(self, tmp_path):
        error = self.error(read_jsonl, tmp_path / "rows.jsonl", b'{"holds": "perhaps", "why": ""}')
        assert error.where == f"{tmp_path}/rows.jsonl:1"
        assert error.what.startswith("holds: Input should be a valid boolean")

    def test_a_broken_file_is_named_with_its_line(self, tmp_path):
        error = self.error(read_json, tmp_path / "row.json", b'{\n"holds": true,\n"why" 3}')
        assert error.where == f"{tmp_path}/row.json:3"

    def test_text_that_is_not_utf8_is_named(self, tmp_path):
        error = self.error(read_jsonl, tmp_path / "rows.jsonl", b'{"holds": true, "why": "\xff"}')
        assert error.where == f"{tmp_path}/rows.jsonl:1"

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(RunError, match=r"nothing.json: cannot be read: .*No such file"):
            read_json(tmp_path / "nothing.json", Judgement)


class TestJournal:
    ROWS = (Judgement(True, "naïve"), Judgement(False, "b\u2028c"), Judgement(True, ""))

    def test_grows_by_rows(self, tmp_path):
        journal = Journal(tmp_path / "journal.jsonl", Judgement)
        assert journal.read() == []
        journal.append(self.ROWS[:1])
        journal.append(self.ROWS[1:])
        assert journal.read() == list(self.ROWS)
        assert read_jsonl(journal.path, Judgement) == list(self.ROWS)

    def test_appending_nothing_changes_nothing(self, tmp_path):
        journal = Journal(tmp_path / "journal.jsonl", Judgement)
        journal.append(self.ROWS)
        before = journal.path.read_bytes()
        journal.append([])
        assert journal.path.read_bytes() == before

    def test_goes_on_after_a_cut_at_any_byte(self, tmp_path):
        journal = Journal(tmp_path / "journal.jsonl", Judgement)
        journal.append(self.ROWS)
        whole = journal.path.read_bytes()
        for cut in range(len(whole) + 1):
            journal.path.write_bytes(whole[:cut])
            complete = whole[:cut].count(b"\n")
            assert journal.read() == list(self.ROWS[:complete])
            journal.append(self.ROWS[complete:])
            assert journal.path.read_bytes() == whole

    def test_a_broken_complete_line_is_an_error_that_names_it(self, tmp_path):
        journal = Journal(tmp_path / "journal.jsonl", Judgement)
        journal.append(self.ROWS)
        journal.path.write_bytes(journal.path.read_bytes().replace(b"false", b"fals\xff"))
        with pytest.raises(RunError, match="Invalid JSON") as caught:
            journal.read()
        assert caught.value.where == f"{journal.path}:2"

    def test_loses_nothing_that_was_appended_when_killed(self, tmp_path):
        code = """
            import sys
            from trimtab.records.reply import Judgement
            from trimtab.store import Journal

            journal = Journal(sys.argv[1], Judgement)
            for number in range(len(journal.read()), 10**6):
                journal.append([Judgement(True, str(number))])
                print(number, flush=True)
        """
        path = tmp_path / "journal.jsonl"
        for _ in range(3):
            command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                acknowledged = [int(next(process.stdout)) for _ in range(20)]
                os.kill(process.pid, signal.SIGKILL)
                acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
            numbers = [int(row.why) for row in Journal(path, Judgement).read()]
            assert numbers == list(range(len(numbers)))
            assert numbers[-1] >= acknowledged[-1]

    def test_a_limit_on_file_size_adds_no_row_and_says_what_to_do(self, tmp_path):
        code = """
            import resource, signal, sys
            from trimtab.records.errors import RunError
            from trimtab.records.reply import Judgement
            from trimtab.store import Journal

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            try:
                Journal(sys.argv[1], Judgement).append([Judgement(True, "x" * 100)] * 20)
            except RunError as error:
                print(error)
        """
        journal = Journal(tmp_path / "journal.jsonl", Judgement)
        journal.append(self.ROWS)
        command = [sys.executable, "-c", textwrap.dedent(code), str(journal.path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "File too large" in done.stdout
        assert "ulimit -f" in done.stdout
        assert journal.read() == list(self.ROWS)

    def test_an_append_that_fails_adds_no_row(self, tiny_disk):
        journal = Journal(tiny_disk / "journal.jsonl", Judgement)
        journal.append(self.ROWS)
        before = journal.path.read_bytes()
        with pytest.raises(RunError, match="No space left on device"):
            journal.append([Judgement(True, "x" * 1000)] * 100)
        assert journal.path.read_bytes() == before
        journal.append(self.ROWS)
        assert journal.read() == [*self.ROWS, *self.ROWS]
