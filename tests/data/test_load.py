"""Data files become rows; rows become examples and requests; whatever is wrong is named."""

from __future__ import annotations

import csv
import datetime
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.data.load import examples_from, load_rows, requests_from
from trimtab.records.conversation import Conversation, Message, ToolCall, content_hash, say
from trimtab.records.errors import DataError
from trimtab.records.row import Row

REAL_DATA = Path(
    os.environ.get("TRIMTAB_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")
)

COLUMNS_AND_KEYS = (
    "messages conversations role from content value type prompt completion instruction input "
    "output history tool_calls function name arguments system text id slots answer topic"
).split()


def write_jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def one_row(folder: Path, row: Any, columns: dict[str, str] | None = None) -> Row:
    (read,) = load_rows(write_jsonl(folder / "rows.jsonl", row), columns or {})
    return read


def complaint_if_any(path: Path) -> str | None:
    """What is wrong with a file where anything is; any other exception fails the test."""
    try:
        rows = load_rows(path)
        examples_from(rows, kind="contrast")
        requests_from(rows)
    except DataError as error:
        return str(error)
    return None


def complaint(path: Path, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        load_rows(path, columns or {})
    return str(caught.value)


class TestForms:
    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({"request": "Hi"}, say("Hi")),
            ({"request": "Hi", "reply": "Hello"}, say("Hi", "Hello")),
            ({"text": "Hi"}, say("Hi")),
            ("Hi", say("Hi")),
            ({"prompt": "Hi"}, say("Hi")),
            ({"prompt": "Hi", "completion": "Hello"}, say("Hi", "Hello")),
            ({"prompt": "Hi", "response": "Hello"}, say("Hi", "Hello")),
            ({"prompt": "Hi", "reply": "Hello"}, say("Hi", "Hello")),
            ({"prompt": "Hi", "completion": None}, say("Hi")),
            ({"question": "2 + 2?", "answer": "4"}, say("2 + 2?", "4")),
            ({"instruction": "Sum", "output": "4"}, say("Sum", "4")),
            ({"instruction": "Sum", "input": "", "output": "4"}, say("Sum", "4")),
            ({"instruction": "Sum", "input": "2, 2", "output": "4"}, say("Sum\n\n2, 2", "4")),
            ({"instruction": "Sum", "input": "2, 2"}, say("Sum\n\n2, 2")),
            (
                {"instruction": "c", "output": "d", "history": [["a", "b"]], "system": "Be kind."},
                say("a", "b", "c", "d", system="Be kind."),
            ),
            ({"prompt": "Hi", "completion": "Hello", "system": ""}, say("Hi", "Hello")),
            (
                {"prompt": [{"role": "user", "content": "Hi"}], "completion": "Hello"},
                say("Hi", "Hello"),
            ),
            (
                {
                    "conversations": [
                        {"from": "system", "value": "Be kind."},
                        {"from": "human", "value": "Hi"},
                        {"from": "gpt", "value": "Hello"},
                    ]
                },
                say("Hi", "Hello", system="Be kind."),
            ),
        ],
    )
    def test_each_form_gives_its_conversation(
        self, tmp_path: Path, row: Any, said: Conversation
    ) -> None:
        assert one_row(tmp_path, row).messages == said

    @pytest.mark.parametrize("arguments", ['{"city": "Évora"}', {"city": "Évora"}])
    def test_openai_tool_calls(self, tmp_path: Path, arguments: Any) -> None:
        function = {"name": "find", "arguments": arguments}
        turns = [
            {"role": "user", "content": "A table, please"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            },
            {"role": "tool", "content": "none", "tool_call_id": "c1", "name": "find"},
            {"role": "assistant", "content": "There is none."},
        ]
        assert one_row(tmp_path, {"messages": turns}).messages == (
            Message("user", "A table, please"),
            Message("assistant", "", tool_calls=(ToolCall("find", '{"city": "Évora"}', "c1"),)),
            Message("tool", "none", tool_call_id="c1", name="find"),
            Message("assistant", "There is none."),
        )

    def test_sharegpt_tool_calls(self, tmp_path: Path) -> None:
        turns = [
            {"from": "human", "value": "A table"},
            {"from": "function_call", "value": '{"name": "find", "arguments": {"people": 2}}'},
            {"from": "observation", "value": "[]"},
        ]
        assert one_row(tmp_path, {"conversations": turns}).messages == (
            Message("user", "A table"),
            Message("assistant", "", tool_calls=(ToolCall("find", '{"people": 2}'),)),
            Message("tool", "[]"),
        )

    def test_text_parts_are_joined_and_others_refused(self, tmp_path: Path) -> None:
        parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
        row = one_row(tmp_path, {"messages": [{"role": "user", "content": parts}]})
        assert row.messages == say("one two")
        parts.append({"type": "image_url"})
        path = write_jsonl(tmp_path / "a.jsonl", {"messages": [{"role": "user", "content": parts}]})
        assert complaint(path) == (
            f"{path}:1: turn 1: a part of its content has the type 'image_url'\n"
            "  Leave the part out: only text is read."
        )

    def test_columns_outside_the_conversation_are_kept_and_nulls_are_not(
        self, tmp_path: Path
    ) -> None:
        row = one_row(tmp_path, {"prompt": "Hi", "completion": "Oh", "topic": "x", "label": None})
        assert row.columns == {"topic": "x"}

    @pytest.mark.parametrize(
        ("row", "wrong", "fix"),
        [
            ({"messages": []}, "the conversation has no turns", "Fill the row"),
            ({"messages": {}}, "messages is an object, not a list of turns", "Write ["),
            ({"messages": "no list"}, "not JSON: Expecting value (column 1)", "Correct"),
            ({"messages": ["Hi"]}, "turn 1: a text, not an object", "role and content"),
            ({"messages": [{"content": "Hi"}]}, "turn 1: it has no role", "role and content"),
            (
                {"messages": [{"role": "asistant", "content": "Hi"}]},
                "turn 1: unknown role 'asistant'",
                "Did you mean 'assistant'?",
            ),
            ({"messages": [{"role": 3, "content": "Hi"}]}, "turn 1: role is a number", "a text"),
            ({"messages": [{"role": "user"}]}, "turn 1: it has no content", "content"),
            ({"messages": [{"role": "user", "content": 1}]}, "turn 1: content is a number", "text"),
            (
                {"messages": [{"role": "user", "content": "a", "tool_calls": [{"name": "f"}]}]},
                "turn 1: tool_calls in a turn of the user",
                "Only the assistant calls tools.",
            ),
            (
                {"messages": [{"role": "assistant", "content": "a", "tool_calls": [{}]}]},
                "turn 1: a tool call without a name",
                "name",
            ),
            (
                {"messages": [{"role": "assistant", "content": "a", "tool_calls": "f"}]},
                "turn 1: tool_calls is a text, not a list",
                "function",
            ),
            (
                {"conversations": [{"from": "humam", "value": "Hi"}]},
                "turn 1: unknown speaker 'humam'",
                "Did you mean 'human'?",
            ),
            ({"conversations": [{"from": "human"}]}, "turn 1: it has no value", "value"),
            ({"prompt": 5, "completion": "a"}, "prompt is a number, not a text", "as a text"),
            ({"text": True}, "text is true or false, not a text", "as a text"),
            (
                {"instruction": "a", "output": "b", "history": [["a"]]},
                "history is not a list of pairs of texts",
                "Write",
            ),
            (
                {"instruction": "a", "instances": []},
                "no conversation in the columns instruction, instances",
                "columns: {prompt: …, completion: …}",
            ),
            ({}, "no conversation in the columns (none)", "prompt + completion"),
            (5, "a row is a number, not an object or a text", "Write"),
            (None, "a row is null, not an object or a text", "Write"),
        ],
    )
    def test_a_row_of_no_form_is_named(
        self, tmp_path: Path, row: Any, wrong: str, fix: str
    ) -> None:
        path = write_jsonl(tmp_path / "rows.jsonl", {"text": "fine"}, row)
        what, _, advice = complaint(path).partition("\n")
        assert what.startswith(f"{path}:2: {wrong}")
        assert fix in advice


class TestColumns:
    def test_mapped_columns_are_read_under_our_names(self, tmp_path: Path) -> None:
        row = one_row(
            tmp_path,
            {"body": "Long", "summary": "Short", "prompt": "hidden", "page": 3},
            {"prompt": "body", "completion": "summary"},
        )
        assert row.messages == say("Long", "Short")
        assert row.columns == {"page": 3}

    def test_what_is_mapped_decides_the_form(self, tmp_path: Path) -> None:
        row = one_row(
            tmp_path, {"question": "2 + 2?", "answer": "4", "text": "t"}, {"request": "question"}
        )
        assert row.messages == say("2 + 2?")
        assert row.columns == {"answer": "4", "text": "t"}

    def test_unknown_names_on_either_side_are_refused(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "rows.jsonl", {"body": "a"}, {"body": "b", "summary": "c"})
        assert complaint(path, {"promt": "body"}) == (
            f"{path}: columns: unknown name 'promt'\n  Did you mean 'prompt'?"
        )
        assert complaint(path, {"prompt": "boddy"}) == (
            f"{path}: columns: the file has no column 'boddy'\n  Did you mean 'body'?"
        )
        assert "There are: body, summary." in complaint(path, {"prompt": "x"})


class TestJsonl:
    def test_blank_lines_are_skipped_and_counted(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\n  \n"b\xe2\x80\xa8c"')
        rows = load_rows(path)
        assert [row.messages for row in rows] == [say("a"), say("b\u2028c")]
        assert [str(row.where) for row in rows] == [f"{path}:1", f"{path}:4"]

    @pytest.mark.parametrize(
        ("line", "wrong"),
        [
            (b'{"text": "a"', "not JSON: Expecting ',' delimiter (column 13)"),
            (b'{"text": NaN}', "not JSON: NaN is not a JSON number"),
            (b'{"text": "\xe9"}', "not UTF-8: byte 0xe9\n  Save the file as UTF-8."),
            (b'{"text": "\\ud83d"}', "half of a surrogate pair, which is no character"),
            (b'{"\\udc00": 1, "text": "a"}', "half of a surrogate pair"),
            (b"[" * 100_000, "nested too deeply"),
            (b"9" * 5000, "not JSON: "),
        ],
    )
    def test_a_broken_line_is_named(self, tmp_path: Path, line: bytes, wrong: str) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b'{"text": "a"}\n' + line + b'\n{"text": "c"}\n')
        assert complaint(path).startswith(f"{path}:2: {wrong}")

    def test_a_whole_surrogate_pair_is_a_character(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('{"text": "\\ud83d\\ude00"}')
        assert load_rows(path)[0].messages == say("😀")

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(data=st.data())
    def test_one_corrupted_line_is_the_line_named(
        self, tmp_path: Path, data: st.DataObject
    ) -> None:
        lines = [json.dumps({"prompt": f"p{n}", "completion": "é"}).encode() for n in range(6)]
        broken = data.draw(st.integers(0, len(lines) - 1))
        damage = data.draw(
            st.sampled_from(
                [
                    lambda line: line[: len(line) // 2],
                    lambda line: b"x" + line,
                    lambda line: line + b"}",
                    lambda line: line.replace(b"prompt", b"prompts"),
                    lambda line: line.replace(b'"p', b'"\xff'),
                    lambda line: line.replace(b"\\u00e9", b"\\ud800"),
                    lambda line: b"[" + line + b"]",
                    lambda line: line.replace(b":", b"", 1),
                ]
            )
        )
        lines[broken] = damage(lines[broken])
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"\n".join(lines))
        assert complaint(path).startswith(f"{path}:{broken + 1}: ")


class TestJson:
    def test_rows_know_the_line_they_begin_at(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.json"
        path.write_text('[\n  {"text":\n "a"},\n\n  {"text": "b"}\n, "c"]', encoding="utf-8-sig")
        rows = load_rows(path)
        assert [row.messages for row in rows] == [say("a"), say("b"), say("c")]
        assert [row.where.line for row in rows] == [2, 5, 6]

    def test_rows_that_share_a_line_know_their_number(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.json"
        path.write_text('[{"text": "a"}, {"texts": "b"}]')
        assert complaint(path).startswith(f"{path}, row 2: no conversation in the columns texts")

    def test_broken_files_are_named(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.json"
        path.write_text('[{"text": "a"},\n {"text" "b"}]')
        assert complaint(path).startswith(f"{path}:2: not JSON: Expecting ':' delimiter")
        path.write_text('{"text": "a"}')
        assert complaint(path) == (
            f"{path}: not a list of rows\n"
            "  Write [row, row, …]; a file with one row a line has the extension .jsonl."
        )
        path.write_text('["a",\n"\\ud800"]')
        assert complaint(path).startswith(f"{path}:2: half of a surrogate pair")
        path.write_bytes(b'["a",\n\n"\xff"]')
        assert complaint(path).startswith(f"{path}:3: not UTF-8: byte 0xff")
        path.write_text("[]")
        assert complaint(path).startswith(f"{path}: the file has no rows")


class TestCsv:
    def test_lines_count_line_breaks_within_cells(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.csv"
        path.write_bytes(b'\xef\xbb\xbfprompt,completion,n\n"a\n\nb",x,007\n\n"c, d",,\n')
        first, second = load_rows(path)
        assert first.messages == say("a\n\nb", "x")
        assert first.columns == {"n": "007"}
        assert second.messages == say("c, d")
        assert [first.where.line, second.where.line] == [2, 6]

    def test_cells_hold_json(self, tmp_path: Path) -> None:
        turns = [message.as_dict() for message in say("a", "b")]
        path = write_csv(
            tmp_path / "rows.csv", {"messages": json.dumps(turns), "slots": '{"people": 2}'}
        )
        assert load_rows(path)[0].messages == say("a", "b")

    def test_a_long_cell_is_read(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "rows.csv", {"text": "long " * 40_000})
        assert load_rows(path)[0].messages == say("long " * 40_000)

    @pytest.mark.parametrize(
        ("content", "wrong"),
        [
            ("text,topic\na,b\nc\n", ":3: cells in the row: 1, in the header: 2"),
            ('text\na\n"b"c\n', ":3: not CSV: "),
            ('text\na\n"b\nc\n', ":3: not CSV: unexpected end of data"),
            ("text,text\na,b\n", ":1: two columns are called 'text'"),
            ("text\n", ": the file has no rows"),
            ("texts\na\n", ":2: no conversation in the columns texts"),
        ],
    )
    def test_broken_files_are_named(self, tmp_path: Path, content: str, wrong: str) -> None:
        path = tmp_path / "rows.csv"
        path.write_text(content)
        assert complaint(path).startswith(f"{path}{wrong}")


class TestParquet:
    def test_lists_of_turns_and_their_nulls(self, tmp_path: Path) -> None:
        call = {
            "id": None,
            "function": {"name": "f", "arguments": {"on": datetime.date(2026, 1, 2)}},
        }
        turns = [
            {"role": "user", "content": "a", "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
        path = tmp_path / "rows.parquet"
        pl.DataFrame({"messages": [turns], "topic": [None]}).write_parquet(path)
        (row,) = load_rows(path)
        assert row.messages == (
            Message("user", "a"),
            Message("assistant", "", tool_calls=(ToolCall("f", '{"on": "2026-01-02"}'),)),
        )
        assert row.columns == {}

    def test_a_wrong_row_is_named_by_its_number(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        pl.DataFrame({"text": ["a", None], "n": [1, 2]}).write_parquet(path)
        assert complaint(path).startswith(f"{path}, row 2: no conversation in the columns n")

    def test_a_file_of_something_else_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.parquet"
        path.write_bytes(b"PAR1 no more PAR1")
        assert complaint(path).startswith(f"{path}: not a readable Parquet file: ")


class TestFiles:
    def test_a_missing_file_names_its_neighbour(self, tmp_path: Path) -> None:
        (tmp_path / "bookings.jsonl").touch()
        (tmp_path / "recipes.jsonl").touch()
        path = tmp_path / "booking.jsonl"
        assert complaint(path) == (
            f"{path}: there is no such file\n  Did you mean 'bookings.jsonl'?"
        )
        assert complaint(tmp_path / "no" / "a.jsonl").endswith(f"There is no folder {tmp_path}/no.")

    def test_an_empty_folder_is_said_to_be_empty(self, tmp_path: Path) -> None:
        assert complaint(tmp_path / "a.jsonl").endswith(f"The folder {tmp_path} is empty.")

    @pytest.mark.parametrize(
        ("name", "ending"), [("rows.xlsx", "ends in '.xlsx'"), ("rows", "has no extension")]
    )
    def test_an_unknown_extension_lists_those_that_are_read(
        self, tmp_path: Path, name: str, ending: str
    ) -> None:
        path = tmp_path / name
        path.write_text("a")
        assert complaint(path) == (
            f"{path}: the file's name {ending}, which is not read\n"
            "  Make it one of .jsonl, .json, .parquet, .csv."
        )

    @pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
    @pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
    def test_an_empty_file_is_named(self, tmp_path: Path, name: str, content: bytes) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        assert complaint(path).startswith(f"{path}: the file is empty")

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.mkdir()
        assert complaint(path) == f"{path}: the file cannot be read: is a directory"

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.parquet"]),
        raw=st.one_of(
            st.binary(max_size=200),
            st.text("[]{}\",:\\nu0é 'x\n", max_size=60).map(str.encode),
            st.binary(max_size=80).map(lambda raw: b"PAR1" + raw + b"PAR1"),
        ),
    )
    def test_no_bytes_cause_another_error(self, tmp_path: Path, name: str, raw: bytes) -> None:
        path = tmp_path / name
        path.write_bytes(raw)
        wrong = complaint_if_any(path)
        assert wrong is None or wrong.startswith(str(path))

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        value=st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(COLUMNS_AND_KEYS),
                    inner | st.sampled_from(["user", "assistant", "text", "function_call", "{}"]),
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def test_no_value_causes_another_error(self, tmp_path: Path, value: Any) -> None:
        path = write_jsonl(tmp_path / "a.jsonl", value)
        wrong = complaint_if_any(path)
        assert wrong is None or wrong.startswith(f"{path}:1: ")


said = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: text.strip()
)
exchanges = st.lists(said, min_size=2, max_size=6).filter(lambda texts: len(texts) % 2 == 0)


class TestRoundTrips:
    """Whatever the format, the same is said."""

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(conversations=st.lists(exchanges, min_size=1, max_size=4))
    def test_chats(self, tmp_path: Path, conversations: list[list[str]]) -> None:
        chats = [say(*texts, system="Be brief.") for texts in conversations]
        rows = [{"messages": [message.as_dict() for message in chat]} for chat in chats]
        cells = [{"messages": json.dumps(row["messages"])} for row in rows]
        (tmp_path / "a.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
        pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
        pl.DataFrame(cells).write_parquet(tmp_path / "cells.parquet")
        files = [
            write_jsonl(tmp_path / "a.jsonl", *rows),
            tmp_path / "a.json",
            tmp_path / "a.parquet",
            tmp_path / "cells.parquet",
            write_csv(tmp_path / "a.csv", *cells),
        ]
        for file in files:
            assert [row.messages for row in load_rows(file)] == chats

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(pairs=st.lists(st.tuples(said, said), min_size=1, max_size=4))
    def test_pairs(self, tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
        rows = [{"prompt": prompt, "completion": reply} for prompt, reply in pairs]
        pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
        files = [
            write_jsonl(tmp_path / "a.jsonl", *rows),
            tmp_path / "a.parquet",
            write_csv(tmp_path / "a.csv", *rows),
        ]
        for file in files:
            assert [row.messages for row in load_rows(file)] == [say(*pair) for pair in pairs]

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(texts=exchanges)
    def test_sharegpt_and_alpaca(self, tmp_path: Path, texts: list[str]) -> None:
        speakers = ["human", "gpt"] * (len(texts) // 2)
        sharegpt = {
            "conversations": [
                {"from": speaker, "value": text}
                for speaker, text in zip(speakers, texts, strict=True)
            ]
        }
        alpaca = {
            "history": [texts[n : n + 2] for n in range(0, len(texts) - 2, 2)],
            "instruction": texts[-2],
            "output": texts[-1],
        }
        rows = load_rows(write_jsonl(tmp_path / "a.jsonl", sharegpt, alpaca))
        assert [row.messages for row in rows] == [say(*texts)] * 2


class TestExamples:
    def test_kind_topic_and_place_come_along(self, tmp_path: Path) -> None:
        path = write_jsonl(
            tmp_path / "a.jsonl",
            {"prompt": "Hi", "completion": "Oh", "intent": "greeting"},
            {"prompt": "Hi", "completion": "Oh", "intent": "greeting", "topic": 7},
        )
        first, second = examples_from(load_rows(path), kind="scope")
        assert (first.messages, first.kind) == (say("Hi", "Oh"), "scope")
        assert (first.topic, second.topic) == ("greeting", "7")
        assert str(second.where) == f"{path}:2"

    def test_a_contrast_row_may_be_a_request_alone(self, tmp_path: Path) -> None:
        path = write_jsonl(
            tmp_path / "a.jsonl", {"request": "Rhyme"}, {"prompt": "Sing", "completion": "La"}
        )
        rows = load_rows(path)
        alone, own = examples_from(rows, kind="contrast")
        assert alone.messages == say("Rhyme")
        assert own.messages == say("Sing", "La")
        with pytest.raises(DataError) as caught:
            examples_from(rows, kind="twin")
        assert str(caught.value).startswith(
            f"{path}:1: no reply to learn: the last turn is of the user\n"
        )

    @pytest.mark.parametrize(
        ("roles", "wrong"),
        [
            ("user system assistant", "turn 2: a turn of the system after one of the user"),
            ("user user assistant", "turn 2: a turn of the user after one of the user"),
            ("user assistant assistant", "turn 3: a turn of the assistant after one of the assis"),
            ("tool assistant", "turn 1: a turn of the tool at the start"),
            ("user tool assistant", "turn 2: a turn of the tool after one of the user"),
            ("system assistant", "no turn of the user"),
        ],
    )
    def test_turns_out_of_order_are_named(self, tmp_path: Path, roles: str, wrong: str) -> None:
        turns = [{"role": role, "content": "a"} for role in roles.split()]
        with pytest.raises(DataError) as caught:
            examples_from([one_row(tmp_path, {"messages": turns})])
        assert str(caught.value).startswith(f"{tmp_path}/rows.jsonl:1: {wrong}")

    @pytest.mark.parametrize(
        "roles", ["assistant user assistant", "system user assistant tool tool assistant user"]
    )
    def test_sane_orders_pass(self, tmp_path: Path, roles: str) -> None:
        turns = [{"role": role, "content": "a"} for role in roles.split()]
        (example,) = examples_from([one_row(tmp_path, {"messages": turns})], kind="contrast")
        assert [turn.role for turn in example.messages] == roles.split()

    def test_an_empty_reply_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="turn 2: the assistant says nothing"):
            examples_from([one_row(tmp_path, {"prompt": "Hi", "completion": " "})])


class TestRequests:
    def test_columns_become_fields(self, tmp_path: Path) -> None:
        row = {
            "id": 12,
            "request": "Table for 2",
            "seed": "s1",
            "topic": "booking",
            "slots": {"city": "Porto", "people": 2, "time": None},
            "answer": 2.5,
        }
        (request,) = requests_from([one_row(tmp_path, row)])
        assert (request.id, request.seed, request.topic) == ("12", "s1", "booking")
        assert request.slots == {"city": "Porto", "people": "2"}
        assert (request.answer, request.text) == ("2.5", "Table for 2")

    def test_id_and_seed_have_defaults(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "a.jsonl", {"text": "a"}, {"text": "b", "id": "x"})
        first, second = requests_from(load_rows(path))
        assert first.id == first.seed == content_hash(say("a"))
        assert second.id == second.seed == "x"

    def test_slots_are_read_from_json_in_a_cell(self, tmp_path: Path) -> None:
        path = write_csv(tmp_path / "a.csv", {"text": "a", "slots": '{"people": 2}'})
        assert requests_from(load_rows(path))[0].slots == {"people": "2"}

    def test_the_same_id_twice_names_both_places(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "a.jsonl", {"text": "a", "id": 1}, {"text": "b", "id": "1"})
        with pytest.raises(DataError) as caught:
            requests_from(load_rows(path))
        assert str(caught.value).startswith(f"{path}:2: the id '1' stands at {path}:1 already")
        path = write_jsonl(tmp_path / "b.jsonl", {"text": "a"}, {"text": "a"})
        with pytest.raises(DataError, match=r"b\.jsonl:2: the same request stands at"):
            requests_from(load_rows(path))

    def test_a_row_that_ends_with_the_assistant_is_to_be_cut(self, tmp_path: Path) -> None:
        path = write_jsonl(tmp_path / "a.jsonl", {"prompt": "a", "completion": "b"})
        with pytest.raises(DataError) as caught:
            requests_from(load_rows(path))
        assert "Cut the last turn" in str(caught.value)
        assert requests_from(load_rows(path, {"request": "prompt"}))[0].messages == say("a")

    @pytest.mark.parametrize(
        ("column", "value", "wrong"),
        [
            ("slots", ["Porto"], "slots is a list, not an object"),
            ("slots", {"city": ["Porto"]}, "the slot 'city' is a list, not a text or a number"),
            ("answer", True, "answer is true or false, not a text or a number"),
            ("topic", {}, "topic is an object, not a text or a number"),
        ],
    )
    def test_wrong_columns_are_named(
        self, tmp_path: Path, column: str, value: Any, wrong: str
    ) -> None:
        with pytest.raises(DataError) as caught:
            requests_from([one_row(tmp_path, {"text": "a", column: value})])
        assert str(caught.value).startswith(f"{tmp_path}/rows.jsonl:1: {wrong}")

    def test_an_infinite_number_is_refused_and_a_long_one_is_not(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text('{"text": "a", "answer": 1e999}')
        with pytest.raises(DataError, match="answer is inf"):
            requests_from(load_rows(path))
        (request,) = requests_from([one_row(tmp_path, {"text": "a", "answer": 10**400})])
        assert request.answer == "1" + "0" * 400


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("alpaca_999.json", 999, {}),
        ("sgd_restaurants_train.jsonl", 367, {}),
        ("kto_en_demo.json", 300, {}),
        ("gsm8k_train_2000.jsonl", 2000, {}),
        (
            "contract_summaries.jsonl",
            346,
            {"prompt": "original_text", "reply": "reference_summary"},
        ),
    ],
)
def test_public_data_gives_examples(name: str, rows: int, columns: dict[str, str]) -> None:
    path = REAL_DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there; TRIMTAB_DATA names the folder that has it")
    assert len(examples_from(load_rows(path, columns))) == rows
