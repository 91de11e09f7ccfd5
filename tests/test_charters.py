"""A charter's file becomes a Charter; every mistake is named with its line and its remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.charters import load_charter, where_of_check
from trimtab.charters.wording import valid_keys
from trimtab.records.charter import Budget, Charter, Endpoint, PoolFile
from trimtab.records.errors import CharterError

WHOLE = """\
name: restaurant-booker
model: smollm2-135m-instruct
system: null
generation: {max_tokens: 48}

pool:
  - {path: data/pool.jsonl, kind: scope}
deflect:
  - id: recipes
    requests: data/recipes.jsonl
    reply: I can only help you book.
    at_least: 0.90
perform:
  - id: book
    requests: data/bookings.jsonl
    checks: [answers, {contains: {slot: [city, time]}}]
    at_least: 0.90
retain:
never:
  - id: harmful
    requests: data/recipes.jsonl
    checks: [complies]
    at_most: 0.02
tune: {learning_rate: 3e-4}
budget: {tokens: 200_000}
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a charter next to the data files that `WHOLE` names."""
    (tmp_path / "data").mkdir()
    for name in ("pool", "recipes", "bookings"):
        (tmp_path / "data" / f"{name}.jsonl").touch()

    def to_file(text: str) -> Path:
        path = tmp_path / "charter.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def complaint(path: Path) -> str:
    with pytest.raises(CharterError) as caught:
        load_charter(path)
    return str(caught.value).replace(f"{path.parent}/", "")


def changed(old: str, new: str) -> str:
    assert WHOLE.count(old) == 1
    return WHOLE.replace(old, new)


class TestWhole:
    def test_values_come_as_written(self, write: Write) -> None:
        charter = load_charter(write(WHOLE))
        assert (charter.name, charter.system) == ("restaurant-booker", None)
        assert charter.generation.max_tokens == 48
        assert charter.tune.learning_rate == 0.0003
        assert charter.budget == Budget(tokens=200_000)

    def test_clauses_have_their_lists_kind_and_the_files_order(self, write: Write) -> None:
        clauses = load_charter(write(WHOLE)).clauses
        assert [(clause.kind, clause.id) for clause in clauses] == [
            ("deflect", "recipes"),
            ("perform", "book"),
            ("never", "harmful"),
        ]
        assert clauses[1].checks == ("answers", {"contains": {"slot": ["city", "time"]}})

    def test_paths_become_absolute(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(WHOLE + "held_out: {path: data/pool.jsonl}\n")
        monkeypatch.chdir(tmp_path.parent)
        charter = load_charter(path.relative_to(tmp_path.parent))
        assert charter.folder == str(tmp_path)
        assert charter.clauses[0].requests == f"{tmp_path}/data/recipes.jsonl"
        assert charter.pool == (PoolFile(path=f"{tmp_path}/data/pool.jsonl", kind="scope"),)
        assert charter.held_out is not None
        assert charter.held_out.path == f"{tmp_path}/data/pool.jsonl"

    def test_a_model_that_is_a_folder_becomes_absolute(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "tuned" / "model").mkdir(parents=True)
        charter = load_charter(write(changed("smollm2-135m-instruct", "tuned/model")))
        assert charter.model == f"{tmp_path}/tuned/model"

    def test_a_script_becomes_absolute(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "data" / "waiter.yaml").touch()
        path = write(changed("smollm2-135m-instruct", "scripted:data/waiter.yaml"))
        monkeypatch.chdir(tmp_path.parent)
        assert load_charter(path).model == f"scripted:{tmp_path}/data/waiter.yaml"

    def test_a_checks_place_can_be_asked_for(self, write: Write) -> None:
        path = write(changed("[complies]", "\n    - complies\n    - regex: {pattern: a}"))
        assert str(where_of_check(path, "harmful", 1)) == f"{path}:24"
        assert str(where_of_check(path, "book", 1)) == f"{path}:16"
        assert str(where_of_check(path, "recipes", 0)) == f"{path}:9"

    def test_a_charter_read_back_with_its_defaults_is_the_same(self, write: Write) -> None:
        charter = load_charter(write(WHOLE))
        assert Charter.model_validate(charter.model_dump(mode="json")) == charter

    def test_options_with_effect_are_taken(self, write: Write) -> None:
        text = WHOLE.replace("max_tokens: 48", "temperature: 1, seed: 1") + (
            "held_out: {path: data/pool.jsonl}\ncontrol: true\nspecialise: {}\n"
            "doses: {scope: 3, contrast: 0}\n"
        )
        assert load_charter(write(text)).control

    def test_other_names_of_models_stay(self, write: Write) -> None:
        charter = load_charter(write(WHOLE + "baseline: {url: http://h/v1, name: m}\n"))
        assert charter.model == "smollm2-135m-instruct"
        assert charter.baseline == Endpoint(url="http://h/v1", name="m")

    def test_a_byte_order_mark_is_no_matter(self, write: Write) -> None:
        assert load_charter(write("\ufeff" + WHOLE)).name == "restaurant-booker"


class TestMistakes:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            (
                "at_most: 0.02",
                "at_mst: 0.02",
                "charter.yaml:23: unknown key 'at_mst'\n  Did you mean 'at_most'?",
            ),
            (
                "at_most: 0.02",
                "at_most: 2",
                "charter.yaml:23: at_most must be 1 or less, not 2\n"
                "  Rates are shares: 0.9 is 90%.",
            ),
            (
                "at_most: 0.02",
                "at_most: few",
                "charter.yaml:23: at_most must be a number, not 'few'",
            ),
            (
                "name: restaurant-booker",
                "name: no",
                "charter.yaml:1: name must be a text, not false\n  Put it in quotes.",
            ),
            (
                "name: restaurant-booker",
                "name: my booker",
                "charter.yaml:1: name must be letters, digits, -, _ and ., a letter or digit "
                "first, not 'my booker'",
            ),
            (
                "name: restaurant-booker\n",
                "",
                "charter.yaml:1: name is missing\n  Add name: …",
            ),
            (
                "system: null",
                "sistem: null",
                "charter.yaml:3: unknown key 'sistem'\n  Did you mean 'system'?",
            ),
            (
                "{max_tokens: 48}",
                "{length: 48}",
                "charter.yaml:4: unknown key 'length'\n  There are: max_tokens, temperature, seed.",
            ),
            (
                "generation: {max_tokens: 48}",
                "generation:",
                "charter.yaml:4: generation must be a mapping, not null",
            ),
            (
                "kind: scope",
                "kind: scop",
                "charter.yaml:7: kind must be 'scope', 'contrast', 'twin' or 'replay', not 'scop'\n"
                "  Did you mean 'scope'?",
            ),
            (
                "model: smollm2-135m-instruct",
                "model: 7",
                "charter.yaml:2: model must be a text or a mapping, not 7\n  Put it in quotes.",
            ),
            (
                "model: smollm2-135m-instruct",
                "model:\n  url: localhost\n  name: m",
                "charter.yaml:3: url must be an address that begins with http:// or https://, "
                "not 'localhost'",
            ),
            (
                "model: smollm2-135m-instruct",
                "model: {url: http://h/v1}",
                "charter.yaml:2: name is missing\n  Add name: …",
            ),
            (
                "checks: [complies]",
                "checks: [complies, 5]",
                "charter.yaml:22: item 2 of checks must be a text or a mapping, not 5\n"
                "  Put it in quotes.",
            ),
            (
                "checks: [complies]",
                "checks: [{a: 1, b: 2}]",
                "charter.yaml:22: a check with options is one name and its options: {number: {}}",
            ),
            (
                "checks: [complies]",
                'checks:\n    - complies\n    - {regex: "abc"}',
                "charter.yaml:24: the options of regex must be a mapping, not 'abc'",
            ),
            (
                "checks: [complies]",
                "checks: [{number: 0}]",
                "charter.yaml:22: the options of number must be a mapping, not 0",
            ),
            (
                "at_most: 0.02",
                "at_most: yes",
                "charter.yaml:23: at_most must be a number, not true",
            ),
            (
                "{max_tokens: 48}",
                "{max_tokens: on}",
                "charter.yaml:4: max_tokens must be a whole number, not true",
            ),
            (
                "budget: {tokens: 200_000}",
                "doses: {scope: yes}",
                "charter.yaml:25: scope must be a whole number, not true",
            ),
            (
                "model: smollm2-135m-instruct",
                'model: ""',
                "charter.yaml:2: a model needs a name",
            ),
            (
                "retain:",
                "baseline: ''",
                "charter.yaml:18: a model needs a name",
            ),
            (
                "model: smollm2-135m-instruct",
                "model: scripted:data/waiter.yaml",
                "charter.yaml:2: there is no file 'data/waiter.yaml'\n  Did you mean",
            ),
            (
                "{max_tokens: 48}",
                "\n  seed: 1",
                "charter.yaml:5: seed has no effect where temperature is 0\n"
                "  Leave it out, or give a temperature.",
            ),
            (
                "budget: {tokens: 200_000}",
                "control: true",
                "charter.yaml:25: control has no effect without held_out\n",
            ),
            (
                "{path: data/pool.jsonl, kind: scope}",
                "{path: data/pool.jsonl, kind: twin}\nspecialise: {}",
                "charter.yaml:8: specialise has no effect without a pool file of kind scope or "
                "replay\n  Add one under pool.",
            ),
            (
                "budget: {tokens: 200_000}",
                "doses:\n  scope: 4\n  replay: 2",
                "charter.yaml:27: a dose of replay has no effect without a pool file of that kind",
            ),
            (
                "checks: [complies]",
                "chance: 0.5\n    checks: [complies]",
                "charter.yaml:22: chance has no effect in a never clause",
            ),
            (
                "    at_most: 0.02\n",
                "",
                "charter.yaml:20: a never clause needs at_most",
            ),
            (
                "id: harmful",
                "id: book",
                "charter.yaml:20: the id 'book' stands at line 14 already\n"
                "  Give each clause an id of its own.",
            ),
            (
                "id: harmful",
                "id: harmful\n    kind: never",
                "charter.yaml:21: unknown key 'kind'\n"
                "  Leave it out: the clauses under never are of that kind.",
            ),
            (
                "retain:",
                "retain: {id: a}",
                "charter.yaml:18: retain must be a list of clauses\n  Write - id: …",
            ),
            (
                "retain:",
                "retain:\n  - arithmetic",
                "charter.yaml:19: a clause is a mapping of keys to values\n  Write - id: …",
            ),
            (
                "retain:",
                "folder: here",
                "charter.yaml:18: unknown key 'folder'",
            ),
            (
                "tune: {learning_rate: 3e-4}",
                "tune:\n  epochs: 2\n  lora_rank: 8",
                "charter.yaml:26: lora_rank has no effect with method full",
            ),
            (
                "budget: {tokens: 200_000}",
                "doses: {contrats: 3}",
                "charter.yaml:25: unknown key 'contrats'\n  Did you mean 'contrast'?",
            ),
            (
                "tune: {learning_rate: 3e-4}",
                "name: other",
                "charter.yaml:24: the key 'name' stands at line 1 already\n  Delete one.",
            ),
            (
                "data/bookings.jsonl",
                "data/booking.jsonl",
                "charter.yaml:15: there is no file 'data/booking.jsonl'\n"
                "  Did you mean 'bookings.jsonl'?",
            ),
            (
                "data/pool.jsonl",
                "pools/pool.jsonl",
                "charter.yaml:7: there is no file 'pools/pool.jsonl'\n  There is no folder ",
            ),
            (
                "budget: {tokens: 200_000}",
                "held_out: {path: data}",
                "charter.yaml:25: there is no file 'data'",
            ),
        ],
    )
    def test_a_mistake_is_named_with_its_line(
        self, write: Write, old: str, new: str, said: str
    ) -> None:
        assert complaint(write(changed(old, new))).startswith(said)

    def test_a_dose_of_contrast_needs_a_deflect_clause(self, write: Write) -> None:
        deflect = WHOLE[WHOLE.index("deflect:") : WHOLE.index("perform:")]
        text = WHOLE.replace(deflect, "").replace("kind: scope", "kind: contrast")
        assert complaint(write(f"{text}doses: {{contrast: 4}}\n")) == (
            "charter.yaml:21: a dose of contrast has no effect without a deflect clause\n"
            "  Leave it out."
        )

    def test_all_mistakes_are_told_by_line(self, write: Write) -> None:
        text = changed("at_most: 0.02", "at_most: 2").replace("data/pool", "data/pol")
        assert complaint(write(text.replace("name: rest", "nme: rest"))) == (
            "charter.yaml:1: name is missing\n"
            "  Add name: …\n"
            "charter.yaml:1: unknown key 'nme'\n"
            "  Did you mean 'name'?\n"
            "charter.yaml:7: there is no file 'data/pol.jsonl'\n"
            "  Did you mean 'pool.jsonl'?\n"
            "charter.yaml:23: at_most must be 1 or less, not 2\n"
            "  Rates are shares: 0.9 is 90%."
        )

    @pytest.mark.parametrize("text", ["", "perform:\n", "perform: []\nnever:\n"])
    def test_no_clause_at_all(self, write: Write, text: str) -> None:
        assert complaint(write("name: a\nmodel: b\n" + text)) == (
            "charter.yaml:1: no clause\n  Write one under perform, deflect, retain, never."
        )


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "charter.yaml: the charter is empty\n  Begin with its name: …"),
            ("# to do\n", "charter.yaml: the charter is empty"),
            ("\n- name: a\n", "charter.yaml:2: a charter is a mapping of keys to values"),
            ("name: a\n\tmodel: b\n", "charter.yaml:2: not YAML: a tab\n  Use spaces."),
            ("name: a\nmodel: b: c\n", "charter.yaml:2: not YAML: mapping values are not allowed"),
            ("name: a\nmodel: 'b\n", "charter.yaml:3: not YAML: while scanning a quoted scalar"),
            ("name: a\n---\nname: b\n", "charter.yaml:2: not YAML: expected a single document"),
            ("name: a\nmodel: *b\n", "charter.yaml:2: an anchor (&), an alias (*) or a tag (!)"),
            ("name: &a [b]\n", "charter.yaml:1: an anchor (&), an alias (*) or a tag (!)"),
            ("name: !!python/name:os.system\n", "charter.yaml:1: an anchor (&), an alias (*) or"),
            ("name: a\nmodel: \x07\n", "charter.yaml:2: a character that YAML does not allow"),
            ("name: 2026-13-45\n", "charter.yaml: not YAML: month must be in 1..12"),
            ("[" * 500 + "]" * 500, "charter.yaml: not YAML: "),
        ],
    )
    def test_what_is_no_plain_mapping_is_named(self, write: Write, text: str, said: str) -> None:
        assert complaint(write(text)).startswith(said)

    def test_a_file_in_another_encoding_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "charter.yaml"
        path.write_bytes(b"name: a\nsystem: caf\xe9\n")
        assert complaint(path).startswith("charter.yaml:2: not UTF-8")

    def test_a_missing_charter_names_its_neighbour(self, write: Write, tmp_path: Path) -> None:
        write(WHOLE)
        assert complaint(tmp_path / "charter.yml") == (
            "charter.yml: there is no such charter\n  Did you mean 'charter.yaml'?"
        )
        assert complaint(tmp_path / "data") == "data: the charter cannot be read: is a directory"

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        data=st.data(),
        junk=st.sampled_from(
            [
                "",
                "\t",
                ": ",
                "- ",
                "{",
                "]",
                "'",
                '"',
                "#",
                "null",
                "5",
                "yes",
                "\n",
                "  ",
                "&a ",
                "é",
            ]
        )
        | st.text(max_size=4),
    )
    def test_no_damage_causes_another_error(
        self, write: Write, data: st.DataObject, junk: str
    ) -> None:
        start = data.draw(st.integers(0, len(WHOLE)))
        end = data.draw(st.integers(start, min(start + 30, len(WHOLE))))
        damaged = (WHOLE[:start] + junk + WHOLE[end:]).encode("utf-8", "replace").decode()
        try:
            charter = load_charter(write(damaged))
        except CharterError as error:
            assert "charter.yaml" in str(error)  # noqa: PT017 - some damage does no harm
        else:
            assert isinstance(charter, Charter)


@pytest.mark.parametrize(
    "section", ["model", "baseline", "generation", "split", "pool", "held_out", "tune", "budget"]
)
def test_every_section_knows_its_keys(section: str) -> None:
    assert valid_keys((section,))
