"""The verbs: each composes the stages, and is both a command and a Python function."""

from __future__ import annotations

from pathlib import Path

from trimtab.app.looks import note_look
from trimtab.app.measurements import measure_model, read_measurement
from trimtab.app.outcomes import find_measurement, measurement_of, write_plan
from trimtab.app.progress import Progress, Silent
from trimtab.app.project import Project, open_project
from trimtab.app.steering import (
    baseline_of,
    conclude,
    finish,
    keep,
    measure_once,
    search,
    specialise,
)
from trimtab.app.stories import read_story
from trimtab.app.training import train_into, weights_of
from trimtab.data.load import examples_from, load_rows
from trimtab.models.encoders import StaticEncoder
from trimtab.models.load import load_model
from trimtab.plans.doses import within_rows
from trimtab.plans.plan import plan as choose_rows
from trimtab.probes.compare import compare as compare_scores
from trimtab.records.charter import ModelSpec, TuneConfig
from trimtab.records.comparison import Comparison
from trimtab.records.errors import RunError
from trimtab.records.example import Example
from trimtab.records.plan import Doses, Plan, PlanRow
from trimtab.records.probe import SPLITS, Split, Suite
from trimtab.records.profile import Profile
from trimtab.store import read_json, read_jsonl, read_run, start_run, write_atomically, write_json

Name = str | Path
SILENT = Silent()


def measure(
    charter: Name,
    out: Name,
    *,
    model: ModelSpec | None = None,
    final: bool = False,
    limit: int | None = None,
    progress: Progress = SILENT,
) -> Profile:
    """Measure a model (the charter's, unless another is named) and write a run to `out`.

    `final` measures the split that is kept back, and is logged as a look at it; `limit` takes the
    first so many probes of each clause. Going on with a run that stopped, or calling again for one
    that is finished, asks for nothing twice.
    """
    project = open_project(charter, limit)
    _warn(project, progress)
    spec = model if model is not None else project.charter.model
    split: Split = "final" if final else "select"
    settings = {
        "charter": project.charter,
        "model": spec,
        "split": split,
        "limit": limit,
        "contents": project.contents,
    }
    with start_run(out, "measure", settings) as run:
        write_json(run.folder / "suite.json", project.suite)
        if final:
            note_look(project, run)
        loaded = load_model(spec)
        against = project.charter.baseline or project.charter.model
        baseline = baseline_of(project, run, split, None if against == spec else against, progress)
        measurement = measure_model(
            project,
            loaded,
            split,
            run.folder,
            progress,
            baseline=baseline,
            with_loss=True,
            label=loaded.name,
        )
        if not run.finished:
            run.add_seconds("measuring", measurement.profile.seconds)
            finish(project, run, {"model": loaded.fingerprint})
        return measurement.profile


def plan(charter: Name, measured: Name, out: Name, *, doses: Doses | None = None) -> Plan:
    """Choose rows from the charter's pool for what a run found missing, and write them to `out`.

    `doses` are rows of each kind; the charter's own, unless given.
    """
    project = open_project(charter)
    profile = measurement_of(Path(measured), "select").profile
    wanted = within_rows(doses or project.charter.doses, project.charter.budget.rows)
    settings = {
        "charter": project.charter,
        "measured": str(measured),
        "doses": dict(wanted),
        "contents": project.contents,
    }
    with start_run(out, "plan", settings) as run:
        chosen = choose_rows(profile, project.pool, wanted, project.suite, StaticEncoder())
        write_plan(run.folder, chosen)
        finish(project, run, {})
        return chosen


def tune(
    model: str,
    data: Name,
    out: Name,
    config: TuneConfig | None = None,
    *,
    system: str | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Train a model on a plan's run or a data file; the adapted model's folder inside `out`."""
    config = config or TuneConfig()
    examples = _training_rows(Path(data))
    settings = {"model": model, "data": str(data), "tune": config, "system": system}
    with start_run(out, "tune", settings) as run:
        folder = run.folder / "model"
        if not run.finished:
            tuned = train_into(
                weights_of(model), examples, config, run.folder, progress, system, "tuning"
            )
            run.add_seconds("tuning", tuned.seconds)
            write_json(run.folder / "tuned.json", tuned)
            run.finish({"data": Path(data)}, run.seconds("tuning"))
        return folder


def steer(charter: Name, out: Name, *, progress: Progress = SILENT) -> Profile:
    """Measure, plan, tune, measure, until the charter is met or the budget is out.

    The returned profile is that of the *final* split. A run that was interrupted goes on; one
    that is finished is read.
    """
    project = open_project(charter)
    _warn(project, progress)
    settings = {"charter": project.charter, "contents": project.contents}
    with start_run(out, "steer", settings) as run:
        if not run.finished:
            write_json(run.folder / "suite.json", project.suite)
            start = specialise(project, run, progress)
            baseline = baseline_of(project, run, "select", project.charter.baseline, progress)
            before = measure_once(
                project, run, start, "select", run.folder / "start", baseline, progress, "the start"
            )
            outcome = search(project, run, start, before, baseline or before.scores, progress)
            keep(run, start, outcome)
            conclude(project, run, start, outcome, progress)
            report(run.folder)
            finish(project, run, {"suite": project.suite.id})
        return read_measurement(run.folder).profile


def compare(before: Name, after: Name) -> Comparison:
    """Paired differences between two runs, on the final split if both have it, else on select."""
    for split in reversed(SPLITS):
        first, second = (find_measurement(Path(run), split) for run in (before, after))
        if first and second:
            suite = read_json(Path(after) / "suite.json", Suite)
            return compare_scores(
                str(before), str(after), split, suite.clauses, first.scores, second.scores
            )
    raise RunError(
        "the two runs share no split that both measured",
        where=f"{before}, {after}",
        fix="Measure both on the same split: with --final, or without.",
    )


def report(run: Name, *, markdown: bool = False) -> Path:
    """Write a run's report, `report.html` or `report.md`, into its folder."""
    from trimtab.reports.markdown import render_markdown
    from trimtab.reports.page import render_page

    story = read_story(Path(run))
    path = Path(run) / ("report.md" if markdown else "report.html")
    write_atomically(path, render_markdown(story) if markdown else render_page(story))
    return path


def _training_rows(data: Path) -> list[Example]:
    if data.is_dir():
        read_run(data)
        return [row.example for row in read_jsonl(data / "plan.jsonl", PlanRow)]
    return examples_from(load_rows(data))


def _warn(project: Project, progress: Progress) -> None:
    for warning in project.warnings:
        progress.say(f"warning: {warning}")
