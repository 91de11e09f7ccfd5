"""The parts of steering: from a start, by way of candidates, to final figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from trimtab.app.looks import note_look
from trimtab.app.measurements import (
    Measurement,
    baseline_of,
    is_measured,
    loss_of,
    measure_model,
    read_measurement,
)
from trimtab.app.outcomes import Outcome, Trained, write_plan
from trimtab.app.progress import Progress
from trimtab.app.project import Project
from trimtab.app.training import opened, train_into, weights_of
from trimtab.models.encoders import StaticEncoder
from trimtab.models.load import load_model
from trimtab.plans.doses import best_candidate, next_doses, total_gap, within_rows
from trimtab.plans.plan import plan as choose_rows
from trimtab.probes.loss import loss_difference
from trimtab.probes.profile import final_would_meet
from trimtab.records.plan import Doses, Plan, PlanRow
from trimtab.records.probe import Split
from trimtab.records.profile import ClauseResult, Profile
from trimtab.records.reply import Score
from trimtab.records.story import Control
from trimtab.store import Run, read_json, read_jsonl, remove_folder, write_atomically, write_json


def specialise(project: Project, run: Run, progress: Progress) -> str:
    """The model that steering starts from: tuned on all scope and replay rows, where asked for."""
    config = project.charter.specialise
    if config is None:
        return weights_of(project.charter.model)
    folder = run.folder / "specialised"
    if not (folder / "tuned.json").is_file():
        with run.timed("tuning") as tick:
            tuned = train_into(
                weights_of(project.charter.model),
                [*project.pool.get("scope", ()), *project.pool.get("replay", ())],
                config,
                folder,
                progress,
                project.charter.system,
                "specialising on scope and replay rows",
                tick=tick,
            )
        run.log("specialised", tokens=tuned.tokens, steps=tuned.steps)
    return str(folder / "model")


def name_of_start(project: Project) -> str:
    """What profiles call the model that steering starts from."""
    model = str(project.charter.model)
    return f"{model}, specialised" if project.charter.specialise else model


def search(
    project: Project,
    run: Run,
    start: str,
    before: Measurement,
    baseline: Sequence[Score],
    progress: Progress,
) -> Outcome:
    """Train candidates with growing doses until one has enough, or something runs out.

    Candidates are numbered from 1; the outcome's 0 is the start.
    """
    decided = run.folder / "outcome.json"
    if decided.is_file():
        return read_json(decided, Outcome)
    charter, budget = project.charter, project.charter.budget
    enough = _enough_on_final(project)
    encoder = StaticEncoder()
    candidates: list[Trained] = []
    profiles: list[Profile] = []
    doses: Doses | None = within_rows(charter.doses, budget.rows)
    chosen: Plan | None = None
    ended = "no clause asked for more than the pool holds"
    if all(enough(result) for result in before.profile.clauses):
        return Outcome(0, (), "the model met its charter before any tuning")
    while doses is not None:
        number = len(candidates) + 1
        latest = profiles[-1] if profiles else before.profile
        chosen = choose_rows(latest, project.pool, doses, project.suite, encoder, chosen)
        if not chosen.rows:
            ended = "the pool holds no rows that the missed clauses ask for"
            break
        folder = run.folder / "candidates" / str(number)
        if stop := _out_of_budget(project, run, candidates, chosen, folder):
            ended = stop
            break
        trained = _train_candidate(project, run, start, number, chosen, folder, progress)
        measured = measure_once(
            project,
            run,
            str(folder / "model"),
            "select",
            folder,
            baseline,
            progress,
            f"candidate {number}",
        )
        candidates.append(trained)
        profiles.append(measured.profile)
        progress.say(_one_line(number, chosen, measured.profile))
        if all(enough(result) for result in measured.profile.clauses):
            ended = "every clause has enough on the select split"
            break
        if len(candidates) >= budget.candidates:
            ended = f"the budget of {budget.candidates} candidates is out"
            break
        grown = next_doses(chosen.doses, measured.profile, chosen.held, enough, charter.clauses)
        doses = within_rows(grown, budget.rows) if grown else None
        if doses is not None and doses == chosen.doses:
            ended, doses = f"the budget of {budget.rows} rows is out", None
    if not candidates:
        return Outcome(0, (), ended)
    best = best_candidate(profiles, [each.rows for each in candidates], enough)
    # The start may meet more clauses than what is nearly met after steering: distance decides.
    nearer = total_gap(profiles[best]) < total_gap(before.profile)
    return Outcome(candidates[best].number if nearer else 0, tuple(candidates), ended)


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
    write_plan(folder, chosen)
    doses = ", ".join(f"{dose} {kind}" for kind, dose in chosen.doses.items() if dose)
    progress.say(f"candidate {number}: {doses}")
    with run.timed("tuning") as tick:
        tuned = train_into(
            start,
            chosen.examples,
            project.charter.tune,
            folder,
            progress,
            project.charter.system,
            f"tuning candidate {number}",
            tick=tick,
        )
    trained = Trained(
        number, dict(chosen.doses), len(chosen.rows), tuned.steps, tuned.tokens, tuned.seconds
    )
    run.log("candidate", number=number, doses=dict(chosen.doses), tokens=tuned.tokens)
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
        rows = opened(chosen.examples, project.charter.system)
        next_tokens = count_tokens(weights_of(project.charter.model), rows)
        next_tokens *= project.charter.tune.epochs
        if spent_tokens + next_tokens > budget.tokens:
            return f"the budget of {budget.tokens:,} tokens is out"
    return None


def _enough_on_final(project: Project) -> Callable[[ClauseResult], bool]:
    """Whether a clause would be met on the final split at the rate that select shows."""

    def seeds(clause: str, split: Split) -> int:
        return len({p.request.seed for p in project.suite.of(clause) if p.split == split})

    return lambda result: final_would_meet(
        result, seeds(result.clause, "select"), seeds(result.clause, "final")
    )


def keep(run: Run, start: str, outcome: Outcome) -> None:
    """Put the chosen candidate's model and plan into the run, and drop the others' weights."""
    kept = run.folder / "model"
    if not outcome.chosen:
        if not kept.exists():
            from trimtab.models.local import copy_model

            copy_model(start, kept)
    else:
        chosen = run.folder / "candidates" / str(outcome.chosen)
        for name in ("plan.jsonl", "doses.json"):
            write_atomically(run.folder / name, (chosen / name).read_bytes())
        if (chosen / "model").is_dir() and not kept.exists():
            (chosen / "model").rename(kept)
    write_json(run.folder / "outcome.json", outcome)


def conclude(project: Project, run: Run, start: str, outcome: Outcome, progress: Progress) -> None:
    """Final figures before and after, and the control; then the candidates' weights go."""
    note_look(project, run)
    baseline = baseline_of(project, run, "final", project.charter.baseline, progress)
    kept = str(run.folder / "model")
    before = measure_once(
        project,
        run,
        start,
        "final",
        run.folder / "before",
        baseline,
        progress,
        name_of_start(project),
    )
    if baseline is None:
        baseline = before.scores
    measure_once(project, run, kept, "final", run.folder, baseline, progress, project.charter.name)
    if project.charter.control and outcome.chosen and not outcome.control:
        control = _control(project, run, start, outcome, progress)
        write_json(run.folder / "outcome.json", replace(outcome, control=control))
    for number in range(1, len(outcome.candidates) + 1):
        weights = run.folder / "candidates" / str(number) / "model"
        if weights.is_dir():
            remove_folder(weights)


def _control(
    project: Project, run: Run, start: str, outcome: Outcome, progress: Progress
) -> Control | None:
    """The held-out loss beside that of a model trained as long on the plan without contrast.

    None where the plan has nothing but contrast, or the steered model's loss is not known.
    """
    folder, steered = run.folder / "control", run.folder / "held_out.jsonl"
    path = folder / "control.json"
    if path.is_file():
        return read_json(path, Control)
    chosen = next(each for each in outcome.candidates if each.number == outcome.chosen)
    planned = read_jsonl(run.folder / "plan.jsonl", PlanRow)
    rows = [row.example for row in planned if row.example.kind != "contrast"]
    if not rows or not steered.is_file():
        return None
    with run.timed("tuning") as tick:
        train_into(
            start,
            rows,
            project.charter.tune,
            folder,
            progress,
            project.charter.system,
            "tuning the control, without contrast",
            steps=chosen.steps,
            tick=tick,
        )
    with run.timed("measuring") as tick:
        without = load_model(str(folder / "model"))
        loss = loss_of(project, without, folder, progress, "the control", tick)
    if loss is None:
        return None
    difference = loss_difference(
        read_jsonl(folder / "held_out.jsonl", list[float]), read_jsonl(steered, list[float])
    )
    control = Control(loss, difference)
    write_json(path, control)
    remove_folder(folder / "model")
    return control


def measure_once(
    project: Project,
    run: Run,
    source: str,
    split: Split,
    folder: Path,
    baseline: Sequence[Score] | None,
    progress: Progress,
    name: str,
) -> Measurement:
    """Measure the model at `source` into `folder`, with its loss on the final split, or read it."""
    if is_measured(folder):
        return read_measurement(folder)
    with run.timed("measuring") as tick:
        return measure_model(
            project,
            load_model(source),
            split,
            folder,
            progress,
            baseline=baseline,
            with_loss=split == "final",
            name=name,
            tick=tick,
        )


def _one_line(number: int, chosen: Plan, profile: Profile) -> str:
    rates = ", ".join(f"{result.clause} {result.rate:.0%}" for result in profile.clauses)
    return f"candidate {number} ({len(chosen.rows)} rows): {rates}"
