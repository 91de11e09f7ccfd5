"""The verbs: each composes the stages, and is both a command and a Python function."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trimtab.app.looks import note_look
from trimtab.app.measurements import (
    Measurement,
    baseline_scores,
    held_out_log_probabilities,
    is_measured,
    measure_model,
    read_measurement,
)
from trimtab.app.progress import Progress, Silent
from trimtab.app.project import Project, open_project
from trimtab.data.load import examples_from, load_rows
from trimtab.models.encoders import StaticEncoder
from trimtab.models.load import as_endpoint, find_weights, load_model
from trimtab.plans.doses import best_candidate, next_doses, within_rows
from trimtab.plans.plan import plan as choose_rows
from trimtab.probes.compare import compare as compare_scores
from trimtab.probes.loss import loss_difference
from trimtab.probes.profile import final_would_meet
from trimtab.records.charter import ModelSpec, TuneConfig
from trimtab.records.comparison import Comparison
from trimtab.records.conversation import with_system
from trimtab.records.errors import ModelError, RunError
from trimtab.records.example import KINDS, Example
from trimtab.records.plan import Doses, Plan, PlanRow
from trimtab.records.probe import SPLITS, Split, Suite
from trimtab.records.profile import ClauseResult, Interval, Loss, Profile
from trimtab.records.protocols import Model
from trimtab.records.reply import Score
from trimtab.records.story import Control
from trimtab.store import Run, read_json, read_jsonl, read_run, start_run, write_json, write_jsonl

Name = str | Path
SILENT = Silent()


@dataclass(frozen=True, slots=True)
class Trained:
    """One candidate of a steer run, as its folder says."""

    number: int
    doses: Doses
    rows: int
    steps: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a steer run ended; `chosen` is the number of a candidate, 0 for the start itself."""

    chosen: int
    candidates: tuple[Trained, ...]
    ended: str
    control: Control | None = None


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
    settings = {"charter": project.charter, "model": spec, "split": split, "limit": limit}
    with start_run(out, "measure", settings) as run:
        write_json(run.folder / "suite.json", project.suite)
        if final:
            note_look(project, run)
        loaded = load_model(spec)
        baseline = _baseline(project, run, split, loaded, progress)
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
            _finish(project, run, {"model": loaded.fingerprint})
        return measurement.profile


def plan(charter: Name, measured: Name, out: Name, *, doses: Doses | None = None) -> Plan:
    """Choose rows from the charter's pool for what a run found missing, and write them to `out`.

    `doses` are rows of each kind; the charter's own, unless given.
    """
    project = open_project(charter)
    profile = _measurement(Path(measured), "select").profile
    wanted = within_rows(doses or project.charter.doses, project.charter.budget.rows)
    settings = {"charter": project.charter, "measured": str(measured), "doses": dict(wanted)}
    with start_run(out, "plan", settings) as run:
        chosen = choose_rows(profile, project.pool, wanted, project.suite, StaticEncoder())
        _write_plan(run.folder, chosen)
        _finish(project, run, {})
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
            tuned = _tune(_weights(model), examples, config, run.folder, progress, system, "tuning")
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
    with start_run(out, "steer", {"charter": project.charter}) as run:
        if not run.finished:
            write_json(run.folder / "suite.json", project.suite)
            start = _specialise(project, run, progress)
            baseline = _baseline(project, run, "select", None, progress)
            before = _measure_at(project, run, start, "select", "start", baseline, progress)
            outcome = _search(project, run, start, before.profile, baseline, progress)
            _keep(run, start, outcome)
            _conclude(project, run, start, outcome, progress)
        return read_measurement(run.folder).profile


def compare(before: Name, after: Name) -> Comparison:
    """Paired differences between two runs, on the final split if both have it, else on select."""
    for split in reversed(SPLITS):
        first, second = (_find_measurement(Path(run), split) for run in (before, after))
        if first and second:
            suite = read_json(Path(after) / "suite.json", Suite)
            return compare_sides(suite, first, second, str(before), str(after))
    raise RunError(
        "the two runs share no split that both measured",
        where=f"{before}, {after}",
        fix="Measure both on the same split: with --final, or without.",
    )


def compare_sides(
    suite: Suite,
    before: Measurement,
    after: Measurement,
    name_before: str = "before",
    name_after: str = "after",
) -> Comparison:
    """The comparison of two measurements of one split of a suite."""
    return compare_scores(
        name_before, name_after, after.profile.split, suite.clauses, before.scores, after.scores
    )


def report(run: Name, *, markdown: bool = False) -> Path:
    """Write a run's report, `report.html` or `report.md`, into its folder."""
    from trimtab.app.stories import read_story
    from trimtab.reports.markdown import render_markdown
    from trimtab.reports.page import render_page
    from trimtab.store import write_atomically

    story = read_story(Path(run))
    path = Path(run) / ("report.md" if markdown else "report.html")
    write_atomically(path, render_markdown(story) if markdown else render_page(story))
    return path


# -- the parts of steering ------------------------------------------------------------------------


def _specialise(project: Project, run: Run, progress: Progress) -> str:
    """The model that steering starts from: tuned on all scope rows first, where asked for."""
    config = project.charter.specialise
    if config is None:
        return _weights(project.charter.model)
    folder = run.folder / "specialised"
    if not (folder / "tuned.json").is_file():
        rows = list(project.pool.get("scope", ()))
        tuned = _tune(
            _weights(project.charter.model),
            rows,
            config,
            folder,
            progress,
            project.charter.system,
            "specialising on the scope rows",
        )
        run.add_seconds("tuning", tuned.seconds)
        run.log("specialised", tokens=tuned.tokens, steps=tuned.steps)
        write_json(folder / "tuned.json", tuned)
    return str(folder / "model")


def _search(
    project: Project,
    run: Run,
    start: str,
    profile: Profile,
    baseline: Sequence[Score] | None,
    progress: Progress,
) -> Outcome:
    """Train candidates with growing doses until one has enough, or something runs out."""
    charter, budget = project.charter, project.charter.budget
    enough = _enough_on_final(project)
    encoder = StaticEncoder()
    candidates: list[Trained] = []
    profiles: list[Profile] = []
    doses: Doses | None = within_rows(charter.doses, budget.rows)
    ended = "no clause asked for more than the pool holds"
    if all(enough(result) for result in profile.clauses):
        return Outcome(0, (), "the model met its charter before any tuning")
    while doses is not None:
        number = len(candidates) + 1
        chosen = choose_rows(
            profiles[-1] if profiles else profile, project.pool, doses, project.suite, encoder
        )
        if not chosen.rows:
            ended = "the pool holds no rows that the missed clauses ask for"
            break
        folder = run.folder / "candidates" / str(number)
        if stop := _out_of_budget(project, run, candidates, chosen, folder):
            ended = stop
            break
        trained = _train_candidate(project, run, start, number, chosen, folder, progress)
        measured = measure_model(
            project,
            load_model(str(folder / "model")),
            "select",
            folder,
            progress,
            baseline=baseline,
            label=f"candidate {number}",
        )
        run.add_seconds("measuring", measured.profile.seconds)
        candidates.append(trained)
        profiles.append(measured.profile)
        progress.say(_one_line(number, chosen, measured.profile))
        best = best_candidate(profiles, [each.rows for each in candidates], enough)
        if all(enough(result) for result in measured.profile.clauses):
            ended = "every clause has enough on the select split"
            break
        if len(candidates) >= budget.candidates:
            ended = f"the budget of {budget.candidates} candidates is out"
            break
        grown = next_doses(chosen.doses, measured.profile, chosen.held, enough)
        doses = within_rows(grown, budget.rows) if grown else None
        if doses is not None and doses == chosen.doses:
            ended, doses = f"the budget of {budget.rows} rows is out", None
    if not candidates:
        return Outcome(0, (), ended)
    best = best_candidate(profiles, [each.rows for each in candidates], enough)
    return Outcome(candidates[best].number, tuple(candidates), ended)


def _train_candidate(
    project: Project,
    run: Run,
    start: str,
    number: int,
    chosen: Plan,
    folder: Path,
    progress: Progress,
) -> Trained:
    path = folder / "candidate.json"
    if path.is_file():
        return read_json(path, Trained)
    folder.mkdir(parents=True, exist_ok=True)
    _write_plan(folder, chosen)
    doses = ", ".join(f"{dose} {kind}" for kind, dose in chosen.doses.items() if dose)
    progress.say(f"candidate {number}: {doses}")
    tuned = _tune(
        start,
        chosen.examples,
        project.charter.tune,
        folder,
        progress,
        project.charter.system,
        f"tuning candidate {number}",
    )
    trained = Trained(
        number, dict(chosen.doses), len(chosen.rows), tuned.steps, tuned.tokens, tuned.seconds
    )
    run.add_seconds("tuning", tuned.seconds)
    run.log("candidate", **{"number": number, "doses": dict(chosen.doses), "tokens": tuned.tokens})
    write_json(path, trained)
    return trained


def _out_of_budget(
    project: Project, run: Run, candidates: Sequence[Trained], chosen: Plan, folder: Path
) -> str | None:
    """Why the next candidate may not be trained, or None where it may."""
    budget = project.charter.budget
    if (folder / "candidate.json").is_file():
        return None
    if budget.minutes is not None:
        spent = (run.seconds("tuning") + run.seconds("measuring")) / 60
        if spent >= budget.minutes:
            return f"the budget of {budget.minutes:g} minutes is out"
    if budget.tokens is not None:
        from trimtab.tuning.sft import count_tokens

        spent_tokens = sum(each.tokens for each in candidates)
        rows = _opened(chosen.examples, project.charter.system)
        next_tokens = count_tokens(_weights(project.charter.model), rows)
        next_tokens *= project.charter.tune.epochs
        if spent_tokens + next_tokens > budget.tokens:
            return f"the budget of {budget.tokens:,} tokens is out"
    return None


def _enough_on_final(project: Project) -> Callable[[ClauseResult], bool]:
    """Whether a clause would be met on the final split at the rate that select shows."""
    sizes = {
        clause.id: sum(probe.split == "final" for probe in project.suite.of(clause.id))
        for clause in project.charter.clauses
    }
    return lambda result: final_would_meet(result, sizes[result.clause])


def _keep(run: Run, start: str, outcome: Outcome) -> None:
    """Put the chosen candidate's model and plan into the run, and drop the others' weights."""
    kept = run.folder / "model"
    if not outcome.chosen:
        if not kept.exists():
            shutil.copytree(start, kept)
    else:
        chosen = run.folder / "candidates" / str(outcome.chosen)
        shutil.copyfile(chosen / "plan.jsonl", run.folder / "plan.jsonl")
        shutil.copyfile(chosen / "doses.json", run.folder / "doses.json")
        if (chosen / "model").is_dir() and not kept.exists():
            (chosen / "model").rename(kept)
    write_json(run.folder / "outcome.json", outcome)


def _conclude(project: Project, run: Run, start: str, outcome: Outcome, progress: Progress) -> None:
    """Final figures, before and after, the control, and the report."""
    note_look(project, run)
    baseline = _baseline(project, run, "final", None, progress)
    _measure_at(project, run, start, "final", "before", baseline, progress)
    kept = str(run.folder / "model")
    after = load_model(kept)
    measured = measure_model(
        project,
        after,
        "final",
        run.folder,
        progress,
        baseline=baseline,
        with_loss=True,
        label="the steered model (final)",
    )
    run.add_seconds("measuring", measured.profile.seconds)
    if project.charter.control and outcome.chosen and project.held_out:
        control = _control(project, run, start, outcome, after, progress)
        outcome = replace(outcome, control=control)
        write_json(run.folder / "outcome.json", outcome)
    for number in range(1, len(outcome.candidates) + 1):
        shutil.rmtree(run.folder / "candidates" / str(number) / "model", ignore_errors=True)
    _finish(project, run, {"model": after.fingerprint})
    report(run.folder)


def _control(
    project: Project, run: Run, start: str, outcome: Outcome, after: Model, progress: Progress
) -> Control:
    """The held-out loss beside that of a model trained as long on the plan without contrast."""
    folder = run.folder / "control"
    path = folder / "control.json"
    if path.is_file():
        return read_json(path, Control)
    chosen = next(each for each in outcome.candidates if each.number == outcome.chosen)
    rows = [
        row.example
        for row in read_jsonl(run.folder / "plan.jsonl", PlanRow)
        if row.example.kind != "contrast"
    ]
    folder.mkdir(exist_ok=True)
    tuned = _tune(
        start,
        rows,
        project.charter.tune,
        folder,
        progress,
        project.charter.system,
        "tuning the control, without contrast",
        steps=chosen.steps,
    )
    run.add_seconds("tuning", tuned.seconds)
    without = load_model(str(folder / "model"))
    control_scores = held_out_log_probabilities(project, without)
    from trimtab.probes.loss import bootstrap_loss

    loss: Loss = bootstrap_loss(control_scores)
    difference: Interval = loss_difference(
        control_scores, held_out_log_probabilities(project, after)
    )
    control = Control(loss, difference)
    write_json(path, control)
    shutil.rmtree(folder / "model", ignore_errors=True)
    return control


# -- small parts ----------------------------------------------------------------------------------


def _measure_at(
    project: Project,
    run: Run,
    source: str,
    split: Split,
    name: str,
    baseline: Sequence[Score] | None,
    progress: Progress,
) -> Measurement:
    """Measure the model at `source` into a folder of the run, unless that was done."""
    folder = run.folder / name
    if is_measured(folder):
        return read_measurement(folder)
    measured = measure_model(
        project,
        load_model(source),
        split,
        folder,
        progress,
        baseline=baseline,
        with_loss=split == "final",
        label=f"the model before steering ({split})",
    )
    run.add_seconds("measuring", measured.profile.seconds)
    return measured


def _baseline(
    project: Project, run: Run, split: Split, model: Model | None, progress: Progress
) -> tuple[Score, ...] | None:
    """The baseline's scores; None where the model measured is itself the baseline."""
    if not any(clause.kind == "retain" for clause in project.charter.clauses):
        return ()
    folder = run.folder / "baseline" / split
    spec = project.charter.baseline or project.charter.model
    if (folder / "scores.jsonl").is_file():
        return tuple(read_jsonl(folder / "scores.jsonl", Score))
    baseline = load_model(spec)
    if model is not None and baseline.fingerprint == model.fingerprint:
        return None
    return baseline_scores(project, baseline, split, folder, progress)


def _tune(
    source: str,
    examples: Sequence[Example],
    config: TuneConfig,
    folder: Path,
    progress: Progress,
    system: str | None,
    label: str,
    steps: int | None = None,
) -> Any:
    """Train into `folder`/model, with a bar."""
    from trimtab.tuning.sft import tune as train

    folder.mkdir(parents=True, exist_ok=True)
    with progress.stage(label, 1.0, "of the rows") as stage:

        def on_step(step: Any) -> None:
            stage.advance(
                1 / step.steps,
                f"step {step.step}/{step.steps}  loss {step.loss:.3f}  "
                f"{step.tokens_per_second:,.0f} tokens/s",
            )

        return train(
            source,
            _opened(examples, system),
            config,
            folder / "model",
            scratch=folder / "checkpoints",
            on_step=on_step,
            exact_steps=steps,
        )


def _opened(examples: Sequence[Example], system: str | None) -> list[Example]:
    """The examples with the charter's system turn, as the model will be used."""
    return [
        Example(with_system(each.messages, system), each.kind, each.topic, each.where)
        for each in examples
    ]


def _weights(spec: ModelSpec) -> str:
    """Where a model to train lies; ModelError for one that cannot be trained here."""
    if as_endpoint(spec) is not None or str(spec).startswith("scripted:"):
        raise ModelError(
            "this model's weights are not here, so it cannot be trained",
            where=str(spec),
            fix="Name a bundled model, a folder, a run or a hub id.",
        )
    return find_weights(str(spec))


def _training_rows(data: Path) -> list[Example]:
    if data.is_dir():
        read_run(data)
        return [row.example for row in read_jsonl(data / "plan.jsonl", PlanRow)]
    return examples_from(load_rows(data))


def _write_plan(folder: Path, chosen: Plan) -> None:
    write_jsonl(folder / "plan.jsonl", chosen.rows)
    write_json(folder / "doses.json", {"doses": dict(chosen.doses), "held": dict(chosen.held)})


def read_plan(folder: Path) -> Plan:
    """The plan that a folder holds."""
    doses = read_json(folder / "doses.json", dict[str, dict[str, int]])
    rows = tuple(read_jsonl(folder / "plan.jsonl", PlanRow))
    known = {part: {kind: doses[part].get(kind, 0) for kind in KINDS} for part in doses}
    return Plan(rows, known["doses"], known["held"])


def _measurement(run: Path, split: Split) -> Measurement:
    found = _find_measurement(run, split)
    if found is None:
        raise RunError(f"this run measured nothing on the {split} split", where=str(run))
    return found


def _find_measurement(run: Path, split: Split) -> Measurement | None:
    """A run's own measurement on a split: for a steer run, the chosen candidate's."""
    read_run(run)
    folders = [run]
    if (run / "outcome.json").is_file():
        outcome = read_json(run / "outcome.json", Outcome)
        folders.append(
            run / "candidates" / str(outcome.chosen) if outcome.chosen else run / "start"
        )
    for folder in folders:
        if is_measured(folder):
            measurement = read_measurement(folder)
            if measurement.profile.split == split:
                return measurement
    return None


def _finish(project: Project, run: Run, inputs: dict[str, str]) -> None:
    charter = project.charter
    files: dict[str, str | Path] = {
        clause.requests: Path(clause.requests) for clause in charter.clauses
    }
    files |= {file.path: Path(file.path) for file in charter.pool}
    if charter.held_out:
        files[charter.held_out.path] = Path(charter.held_out.path)
    run.finish({**files, **inputs}, run.seconds("tuning") + run.seconds("measuring"))


def _warn(project: Project, progress: Progress) -> None:
    for warning in project.warnings:
        progress.say(f"warning: {warning}")


def _one_line(number: int, chosen: Plan, profile: Profile) -> str:
    rates = ", ".join(f"{result.clause} {result.rate:.0%}" for result in profile.clauses)
    return f"candidate {number} ({len(chosen.rows)} rows): {rates}"
