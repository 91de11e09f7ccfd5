"""A run's folder says how to repeat it and what came of it; one process at a time may write it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trimtab.records.charter import Charter, Clause, TuneConfig
from trimtab.records.errors import RunError
from trimtab.store import Manifest, RunRecord, fill_folder, read_json, read_run, start_run
from trimtab.store.run import to_yaml

SETTINGS = {"tune": {"epochs": 2, "seed": 7}, "pool": ["a.jsonl"], "system": None}

ODD_TEXTS = st.text() | st.text(" \n\t#:-'\"|>\r\x85\u2028\ufeffa")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "booker"


@contextmanager
def another_process_writing(folder: Path) -> Iterator[subprocess.Popen[str]]:
    code = """
        import sys, time
        from trimtab.store import start_run

        with start_run(sys.argv[1], "tune", {}):
            print("started", flush=True)
            time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            yield process
        finally:
            process.kill()


class TestStart:
    def test_writes_what_is_needed_to_repeat_the_run(self, folder):
        with start_run(folder, "tune", SETTINGS) as run:
            assert not run.resumed
            assert not run.finished
        assert yaml.safe_load((folder / "run.yaml").read_text()) == {
            "command": "tune",
            "settings": SETTINGS,
            "trimtab": metadata.version("trimtab"),
        }

    def test_records_among_the_settings_are_written_with_their_defaults(self, folder):
        clause = Clause(kind="never", id="harm", requests="r", checks=("complies",), at_most=0.02)
        charter = Charter(name="booker", model="m", clauses=(clause,))
        for resumed in (False, True):
            with start_run(folder, "steer", {"charter": charter, "out": folder}) as run:
                assert run.resumed is resumed
        written = read_run(folder).settings
        assert written["out"] == str(folder)
        assert written["charter"]["generation"] == {"max_tokens": 64, "temperature": 0.0, "seed": 0}
        assert written["charter"]["clauses"][0]["checks"] == ["complies"]

    def test_goes_on_with_the_same_run(self, folder):
        start_run(folder, "tune", SETTINGS).close()
        (folder / "responses.jsonl").write_text("work\n")
        with start_run(folder, "tune", SETTINGS) as run:
            assert run.resumed
        assert (folder / "responses.jsonl").read_text() == "work\n"

    def test_refuses_another_run_and_shows_what_differs(self, folder):
        start_run(folder, "tune", SETTINGS).close()
        changed = {"tune": {"epochs": 3}, "pool": ["a.jsonl", "b.jsonl"], "system": "Be brief."}
        with pytest.raises(RunError) as caught:
            start_run(folder, "tune", changed)
        assert str(caught.value) == (
            f"{folder}: holds another run: settings.tune.epochs: 2 → 3, "
            "settings.tune.seed: 7 → absent, settings.system: None → 'Be brief.', 1 more\n"
            "  give another --out"
        )
        assert read_run(folder).settings == SETTINGS

    def test_a_refusal_leaves_the_run_free(self, folder):
        start_run(folder, "tune", {}).close()
        with pytest.raises(RunError, match="command: 'tune' → 'measure'"):
            start_run(folder, "measure", {})
        start_run(folder, "tune", {}).close()

    def test_never_touches_files_of_others(self, folder):
        folder.mkdir(parents=True)
        (folder / "thesis.tex").write_text("mine")
        with pytest.raises(RunError, match=r"holds thesis\.tex and no run\.yaml"):
            start_run(folder, "tune", SETTINGS)
        assert [path.name for path in folder.iterdir()] == ["thesis.tex"]

    def test_takes_a_folder_that_a_kill_left_before_the_run_was_described(self, folder):
        folder.mkdir(parents=True)
        (folder / ".lock").touch()
        (folder / ".run.yaml.0badcafe.partial").write_text("comm")
        with start_run(folder, "tune", SETTINGS) as run:
            assert not run.resumed
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "run.yaml"]

    def test_recovers_what_a_kill_left_unfinished(self, folder):
        start_run(folder, "tune", SETTINGS).close()
        with fill_folder(folder / "model") as model:
            (model / "weights").write_text("complete")
        (folder / "model").rename(folder / ".model.aside")
        (folder / ".model.0badcafe.partial").mkdir()
        start_run(folder, "tune", SETTINGS).close()
        assert (folder / "model" / "weights").read_text() == "complete"
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "model", "run.yaml"]

    def test_a_file_in_its_place_is_an_error_that_says_so(self, folder):
        folder.parent.mkdir()
        folder.write_text("mine")
        with pytest.raises(RunError, match="a file stands where a folder is needed"):
            start_run(folder, "tune", SETTINGS)


class TestLock:
    def test_one_process_writes_a_run(self, folder):
        with another_process_writing(folder):
            with pytest.raises(RunError, match="is being written by another process") as caught:
                start_run(folder, "tune", {})
            assert caught.value.where == str(folder)

    def test_a_killed_process_leaves_the_run_free(self, folder):
        with another_process_writing(folder) as process:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            with start_run(folder, "tune", {}) as run:
                assert run.resumed

    def test_holds_within_a_process_too(self, folder):
        with (
            start_run(folder, "tune", {}),
            pytest.raises(RunError, match="is being written"),
        ):
            start_run(folder, "tune", {})

    def test_an_open_run_can_be_read(self, folder):
        with start_run(folder, "tune", SETTINGS):
            assert read_run(folder) == RunRecord(folder, "tune", SETTINGS, finished=False)


class TestRun:
    def test_logs_events_with_the_time(self, folder):
        for step in range(2):
            with start_run(folder, "tune", {}) as run:
                run.log("step", number=step, loss=0.5, path=folder)
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for step, line in enumerate(lines):
            assert datetime.fromisoformat(line.pop("time")).utcoffset() == timedelta(0)
            assert line == {"event": "step", "number": step, "loss": 0.5, "path": str(folder)}

    def test_time_adds_up_over_restarts(self, folder):
        for _ in range(3):
            with start_run(folder, "tune", {}) as run:
                run.add_seconds("training", 1.5)
                run.add_seconds("measuring", 0.25)
        assert run.seconds("training") == 4.5
        assert run.seconds("measuring") == 0.75
        assert run.seconds("resting") == 0.0

    def test_time_is_counted_as_it_passes_and_to_the_end_of_a_failure(self, tmp_path, monkeypatch):
        clock = iter([0.0, 2.0, 9.0, 9.5, 12.0])
        monkeypatch.setattr("time.monotonic", lambda: next(clock))
        with start_run(tmp_path / "run", "tune", {}) as run:
            with run.timed("training") as tick:
                tick()
                assert run.seconds("training") == 0.0
                tick()
                assert run.seconds("training") == 9.0
                tick()
            assert run.seconds("training") == 12.0

    def test_time_until_a_failure_is_counted(self, tmp_path, monkeypatch):
        clock = iter([0.0, 3.0])
        monkeypatch.setattr("time.monotonic", lambda: next(clock))
        with start_run(tmp_path / "run", "tune", {}) as run:
            with pytest.raises(ValueError, match="stop"), run.timed("training"):
                raise ValueError("stop")
            assert run.seconds("training") == 3.0

    def test_an_input_that_changed_between_two_calls_is_refused(self, tmp_path):
        with start_run(tmp_path / "run", "tune", {}) as run:
            run.hold("model", "9f31")
            run.hold("model", "9f31")
        with start_run(tmp_path / "run", "tune", {}) as run:
            run.hold("data", "77aa")
            with pytest.raises(RunError, match="model has changed since this run began"):
                run.hold("model", "0000")


class TestFinish:
    def finish(self, folder: Path, **inputs: str | Path) -> Manifest:
        settings = {"tune": TuneConfig(seed=7), "split": {"seed": 0}, "seeds": [1, 2]}
        with start_run(folder, "tune", settings) as run:
            run.log("started")
            run.add_seconds("training", 2.5)
            (folder / "profile.json").write_text("{}")
            with fill_folder(folder / "model") as model:
                (model / "weights").write_bytes(b"abc")
            (folder / ".late.0badcafe.partial").write_text("half")
            run.finish(inputs, seconds=4.0)
            assert run.finished
        return read_json(folder / "manifest.json", Manifest)

    def test_hashes_every_output(self, folder):
        outputs = self.finish(folder).outputs
        assert list(outputs) == ["model/weights", "profile.json", "run.yaml"]
        assert outputs["model/weights"] == hashlib.sha256(b"abc").hexdigest()
        assert outputs["profile.json"] == hashlib.sha256(b"{}").hexdigest()

    def test_hashes_files_and_folders_and_keeps_fingerprints(self, folder, tmp_path):
        data = tmp_path / "data.jsonl"
        data.write_bytes(b"abc")
        inputs = self.finish(folder, data=data, base=tmp_path / "runs", model="0badcafe").inputs
        assert inputs["data"] == hashlib.sha256(b"abc").hexdigest()
        assert len(inputs["base"]) == 64
        assert inputs["model"] == "0badcafe"

    def test_a_missing_input_is_named_and_the_run_not_finished(self, folder, tmp_path):
        with pytest.raises(RunError, match=r"data\.jsonl: cannot be read"):
            self.finish(folder, data=tmp_path / "data.jsonl")
        assert not read_run(folder).finished

    def test_tells_seeds_versions_machine_and_timings(self, folder):
        manifest = self.finish(folder)
        assert manifest.seeds == {"tune.seed": 7, "split.seed": 0, "seeds.0": 1, "seeds.1": 2}
        assert manifest.versions["python"] == platform.python_version()
        assert manifest.versions["trimtab"] == metadata.version("trimtab")
        assert manifest.machine["cores"] == os.cpu_count()
        assert manifest.timings == {"training": 2.5, "total": 4.0}
        assert read_run(folder).finished

    def test_repeating_a_run_gives_equal_outputs(self, tmp_path):
        first, second = (self.finish(tmp_path / name) for name in ("first", "second"))
        assert first.outputs == second.outputs

    def test_does_not_import_torch(self, folder):
        code = """
            import sys
            from trimtab.store import start_run

            with start_run(sys.argv[1], "audit", {}) as run:
                run.finish({}, 1.0)
            assert "torch" not in sys.modules
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(folder)], check=True)
        assert (folder / "manifest.json").exists()


class TestRead:
    def test_a_folder_without_a_run_is_an_error_that_says_what_to_give(self, tmp_path):
        with pytest.raises(RunError, match=r"it has no run\.yaml\n  give the folder of a run"):
            read_run(tmp_path)

    def test_broken_yaml_is_named_with_its_line(self, tmp_path):
        (tmp_path / "run.yaml").write_text("command: tune\nsettings: {a: 1\n")
        with pytest.raises(RunError) as caught:
            read_run(tmp_path)
        assert caught.value.where == f"{tmp_path}/run.yaml:3"

    @pytest.mark.parametrize("text", ["", "tune", "command: tune"])
    def test_yaml_that_is_no_run_is_an_error(self, tmp_path, text):
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(RunError, match="lacks its command or settings"):
            read_run(tmp_path)


class TestYaml:
    @given(
        st.dictionaries(
            st.text(),
            st.recursive(
                ODD_TEXTS | st.floats(allow_nan=False) | st.integers() | st.booleans() | st.none(),
                lambda inside: (
                    st.lists(inside, max_size=3) | st.dictionaries(ODD_TEXTS, inside, max_size=3)
                ),
            ),
        )
    )
    def test_reads_back_equal(self, data):
        assert yaml.safe_load(to_yaml(data)) == data

    def test_long_texts_stay_readable(self):
        prompt = "You book tables.\n\nAsk for the city, the time and the number of people.\n"
        assert to_yaml({"settings": {"system": prompt}}) == (
            "settings:\n"
            "  system: |\n"
            "    You book tables.\n"
            "\n"
            "    Ask for the city, the time and the number of people.\n"
        )
