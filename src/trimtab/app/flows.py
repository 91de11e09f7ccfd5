"""The verbs: each composes the stages, and is both a command and a Python function."""

from __future__ import annotations

from pathlib import Path

from trimtab.app.looks import note_look
from trimtab.app.measurements import baseline_of, measure_model, read_measurement
from trimtab.app.outcomes import find_measurement, measurement_of, read_plan, write_plan
from trimtab.app.progress import Progress, Silent
from trimtab.app.project import Project, begin, finish, hash_of_rows, open_project
from trimtab.app.steering import (
    conclude,
    keep,
    measure_once,
    name_of_start,
    search,
    specialise,
)
from trimtab.app.stories import read_story
from trimtab.app.training import (
    refuse_what_does_not_fit,
    train_into,
    weights_hash,
    weights_of,
)
from trimtab.data.load import examples_from, load_rows
from trimtab.models.encoders import StaticEncoder
from trimtab.models.load import load_model
from trimtab.plans.doses import within_rows
from trimtab.plans.plan import plan as choose_rows
from trimtab.probes.compare import compare as compare_scores
from trimtab.probes.suite import refuse_training_on_probes
from trimtab.records.charter import ModelSpec, TuneConfig
from trimtab.records.comparison import Comparison
from trimtab.records.errors import DataError, RunError, did_you_mean
from trimtab.records.example import KINDS, Example
from trimtab.records.plan import Doses, Plan, PlanRow
from trimtab.records.probe import SPLITS, Split, Suite
from trimtab.records.profile import Profile
from trimtab.store import read_json, read_jsonl, read_run, start_run, write_atomically

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
    first so many (one or more) probes of each clause. Retain clauses compare with the charter's
    baseline or, where it names none, its model. Going on with a run that stopped, or calling
    again for one that is finished, asks for nothing twice. Raises CharterError, DataError or
    CheckError for bad input, ModelError where the model cannot be had, RunError where `out` holds
    something else.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit is {limit}: a clause needs one probe or more")
    project = open_project(charter, limit)
    _warn(project, progress)
    spec = model if model is not None else project.charter.model
    split: Split = "final" if final else "select"
    settings = {
        "charter_file": project.file,
        "charter": project.charter,
        "model": spec,
        "split": split,
        "limit": limit,
        "contents": project.contents,
    }
    with start_run(out, "measure", settings) as run:
        if run.finished:
            return read_measurement(run.folder).profile
        begin(project, run)
        loaded = load_model(spec)
        run.hold("model", loaded.fingerprint)
        if final:
            note_look(project, run)
        against = project.charter.baseline or project.charter.model
        baseline = baseline_of(project, run, split, None if against == spec else against, progress)
        with run.timed("measuring") as tick:
            measurement = measure_model(
                project,
                loaded,
                split,
                run.folder,
                progress,
                baseline=baseline,
                with_loss=True,
                tick=tick,
            )
        run.log("measured", model=loaded.name, split=split)
        finish(project, run, {"model": loaded.fingerprint})
        return measurement.profile


def plan(
    charter: Name,
    measured: Name,
    out: Name,
    *,
    doses: Doses | None = None,
    progress: Progress = SILENT,
) -> Plan:
    """Choose rows from the charter's pool for what a run found missing, and write them to `out`.

    `measured` is a run on the select split of the same charter. `doses` are rows of each kind; the
    charter's own, unless given. Raises what `measure` does, and RunError for another charter's run.
    """
    project = open_project(charter)
    _warn(project, progress)
    profile = measurement_of(Path(measured), "select").profile
    if missing := {clause.id for clause in project.charter.clauses} - {
        result.clause for result in profile.clauses
    }:
        raise RunError(
            f"this run did not measure {', '.join(sorted(missing))}",
            where=str(measured),
            fix="Measure with this charter first.",
        )
    if unknown := set(doses or ()) - set(KINDS):
        raise DataError(
            f"unknown kind of row {min(unknown)!r}", fix=did_you_mean(min(unknown), KINDS)
        )
    wanted = within_rows(doses or project.charter.doses, project.charter.budget.rows)
    settings = {
        "charter_file": project.file,
        "charter": project.charter,
        "measured": str(Path(measured).resolve()),
        "doses": dict(wanted),
        "contents": project.contents,
    }
    with start_run(out, "plan", settings) as run:
        if run.finished:
            return read_plan(run.folder)
        begin(project, run)
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
    charter: Name | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Train a model on a plan's run or a data file; the adapted model's folder inside `out`.

    `system` opens every row; a plan's rows have its charter's unless one is given. Rows that ask
    what a probe of the plan's charter asks, or of `charter`, are refused. A kill leaves
    checkpoints in `out`, from which the same call goes on. Raises DataError naming every row that
    cannot be trained on, and ModelError for a model that cannot.
    """
    config = config or TuneConfig()
    examples, suite, planned_system = _training_rows(Path(data))
    if charter is not None:
        suite = open_project(charter).suite
    if suite is not None:
        refuse_training_on_probes(suite, examples)
    system = system if system is not None else planned_system
    source = weights_of(model)
    settings = {
        "model": model,
        "data": str(data),
        "tune": config,
        "system": system,
        "contents": {"rows": hash_of_rows(examples)},
    }
    with start_run(out, "tune", settings) as run:
        folder = run.folder / "model"
        if not run.finished:
            run.hold("model", weights_hash(source))
            with run.timed("tuning") as tick:
                tuned = train_into(
                    source, examples, config, run.folder, progress, system, "tuning", tick=tick
                )
            run.log("tuned", steps=tuned.steps, tokens=tuned.tokens)
            inputs: dict[str, str | Path] = {"data": Path(data), "model": weights_hash(source)}
            run.finish(inputs, run.seconds("tuning"))
        return folder


def steer(charter: Name, out: Name, *, progress: Progress = SILENT) -> Profile:
    """Measure, plan, tune, measure, until the charter is met or the budget is out.

    The returned profile is that of the *final* split. A run that was interrupted goes on; one
    that is finished is read. Raises what `measure` and `tune` do.
    """
    project = open_project(charter)
    _warn(project, progress)
    source = weights_of(project.charter.model)
    settings = {
        "charter_file": project.file,
        "charter": project.charter,
        "contents": project.contents,
    }
    with start_run(Path(out).resolve(), "steer", settings) as run:
        if not run.finished:
            begin(project, run)
            run.hold("model", weights_hash(source))
            rows = [row for rows in project.pool.values() for row in rows if row.is_answered]
            refuse_what_does_not_fit(
                source, [*rows, *project.held_out], project.charter.system, progress
            )
            start = specialise(project, run, progress)
            baseline = baseline_of(project, run, "select", project.charter.baseline, progress)
            before = measure_once(
                project,
                run,
                start,
                "select",
                run.folder / "start",
                baseline,
                progress,
                name_of_start(project),
            )
            outcome = search(project, run, start, before, baseline or before.scores, progress)
            keep(run, start, outcome)
            conclude(project, run, start, outcome, progress)
            progress.say("writing the report")
            report(run.folder)
            finish(project, run, {"model": weights_hash(source)})
        return read_measurement(run.folder).profile


def compare(before: Name, after: Name) -> Comparison:
    """Paired differences, after minus before, on the final split if both have it, else on select.

    p-values are corrected by Holm over the clauses. Raises RunError where the runs share no split,
    or were measured with other requests or checks.
    """
    for split in reversed(SPLITS):
        first, second = (find_measurement(Path(run), split) for run in (before, after))
        if first and second:
            suite = read_json(Path(after) / "suite.json", Suite)
            _require_one_suite(before, after)
            return compare_scores(
                str(before), str(after), split, suite.clauses, first.scores, second.scores
            )
    raise RunError(
        "the two runs share no split that both measured",
        where=f"{before}, {after}",
        fix="Measure both on the same split: with --final, or without.",
    )


def _require_one_suite(before: Name, after: Name) -> None:
    """Measured with the same requests and checks; with `limit`, with some of them."""
    first, second = (
        read_json(Path(run) / "suite.json", Suite).id.partition(":")[0] for run in (before, after)
    )
    if first != second:
        raise RunError(
            "the two runs were measured with different requests or checks",
            where=f"{before}, {after}",
            fix="Measure both with one charter as it is now.",
        )


def report(run: Name, *, markdown: bool = False) -> Path:
    """Write a run's report, `report.html` or `report.md`, into its folder."""
    from trimtab.reports.markdown import render_markdown
    from trimtab.reports.page import render_page

    story = read_story(Path(run))
    path = Path(run) / ("report.md" if markdown else "report.html")
    write_atomically(path, render_markdown(story) if markdown else render_page(story))
    return path


def _training_rows(data: Path) -> tuple[list[Example], Suite | None, str | None]:
    """A plan's rows with its suite and system turn, or a file's."""
    if not data.is_dir():
        return examples_from(load_rows(data)), None, None
    system: str | None = (read_run(data).settings.get("charter") or {}).get("system")
    rows = [row.example for row in read_jsonl(data / "plan.jsonl", PlanRow)]
    return rows, read_json(data / "suite.json", Suite), system


def _warn(project: Project, progress: Progress) -> None:
    for warning in project.warnings:
        progress.say(f"warning: {warning}")
