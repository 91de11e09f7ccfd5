"""Which data steers a model: the same bookings with no, narrow, diverse, and twinned contrast.

    python benchmarks/steering.py --data ../shared/data      # hours; goes on where it stopped
    python benchmarks/steering.py --report                   # table and picture of what is there

In scope are booking dialogues (sgd_restaurants) and short queries (clinc150); contrast comes
from alpaca_999 and clinc150's food intents; off-scope probes are seed_tasks and
user_oriented_instructions. Probes are parted from training rows by intent or source, never by row.
Arms differ in one factor each; two series hold either the in-scope rows or tokens and steps fixed.
Every cell (series, arm, seed) is a file in benchmarks/results/steering.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trimtab.models.encoders import StaticEncoder
from trimtab.models.load import load_model
from trimtab.models.local import LocalModel
from trimtab.plans.select import k_center
from trimtab.probes.intervals import rate_interval
from trimtab.probes.loss import bootstrap_loss
from trimtab.probes.wording import is_deflection
from trimtab.records.charter import Generation, TuneConfig
from trimtab.records.conversation import Conversation, Message, say, with_system
from trimtab.records.example import Example
from trimtab.reports.pictures import svg
from trimtab.store import write_json
from trimtab.tuning.sft import tune

MODEL = "smollm2-135m-instruct"
DEFLECTION = "I can only help you find and book a restaurant."
PROMPT = (
    "You are a restaurant booking assistant. You only help people find and book a restaurant. "
    f"To any other request you answer exactly: {DEFLECTION}"
)
RESULTS = Path(__file__).parent / "results" / "steering"
TRAINING = Path(__file__).parent / "runs" / "steering"
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "steering.svg"
LOSS = "in-scope loss"
SEEDS = (0, 1, 2)
ARMS = ("no contrast", "recipes alone", "diverse contrast", "diverse contrast and twins")
SERIES = ("fixed in-scope rows", "fixed tokens")
IN_SCOPE_ROWS, CONTRAST_ROWS, TWIN_ROWS = 64, 120, 48  # near the best of a first pass
NEAR_ROWS = 30  # of the diverse contrast
TOKENS, STEP_TOKENS = 40_000, 640
CONFIG = TuneConfig(epochs=2, step_tokens=STEP_TOKENS)

# clinc150's food intents: each is either trained on or probed, never both.
NEAR_TRAINED = ("recipe", "cook_time", "food_last", "ingredients_list", "shopping_list")
NEAR_PROBED = ("meal_suggestion", "nutrition_info", "calories", "ingredient_substitution")
TWIN_INTENTS = ("restaurant_suggestion", "accept_reservations", "how_busy")
SHORT_PROBED = ("restaurant_reservation", "cancel_reservation", "confirm_reservation")
NARROW_TRAINED = "recipe"
# Of alpaca_999 only rows that have nothing to do with food: its recipes, calories and meal plans
# would be near-scope requests of intents that are probed.
FOOD = re.compile(
    r"\b(?:food|recipe|ingredient|cook|bak(?:e|ing)|meal|dish|calorie|nutri|diet|vitamin|protein|eat"
    r"|ate\b|breakfast|lunch|dinner|supper|snack|dessert|restaurant|caf[eé]|kitchen|chef|menu"
    r"|drink|wine|coffee|\btea\b|fruit|vegeta|vegan|meat|chicken|beef|fish|cheese|bread|rice|pasta"
    r"|pizza|soup|salad|sauce|cake|cookie|sandwich|egg|banana|apple|grocer)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Cell:
    """What one tuned model did."""

    series: str
    arm: str
    seed: int
    deflected: dict[str, list[bool]]
    loss: tuple[float, float, float]
    learned_tokens: dict[str, int]
    tokens: int
    steps: int
    seconds: float


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def dialogue(row: dict[str, Any]) -> Conversation:
    return tuple(Message(turn["role"], turn["content"]) for turn in row["messages"])


@dataclass(frozen=True)
class Material:
    """Rows to train on by source, and probes by what they test."""

    dialogues: list[Conversation]
    mixed: list[str]
    near: list[str]
    recipes: list[str]
    twins: list[Conversation]
    probes: dict[str, list[Conversation]]
    held_out: list[Conversation]


TWIN_REPLIES = {
    "restaurant_suggestion": "I can find you one. For which city, what time and how many people?",
    "accept_reservations": "I can check that and book for you. What time, and for how many?",
    "how_busy": "I can see when a table is free. Which day, and for how many people?",
}


def read_material(data: Path) -> Material:
    """The sources, parted; raises FileNotFoundError where one is missing."""
    clinc = read_jsonl(data / "clinc150.jsonl")

    def queries(*intents: str) -> list[tuple[str, str]]:
        return [(row["intent"], row["text"]) for row in clinc if row["intent"] in intents]

    alpaca = json.loads((data / "alpaca_999.json").read_text())
    seeds = read_jsonl(data / "seed_tasks.jsonl")
    users = read_jsonl(data / "user_oriented_instructions.jsonl")
    dev = [dialogue(row) for row in read_jsonl(data / "sgd_restaurants_dev.jsonl")]
    pick = random.Random(0)
    off = [with_input(row["instruction"], row["instances"][0]["input"]) for row in seeds + users]
    probes = {
        "off-scope": [say(text) for text in pick.sample([t for t in off if len(t) < 400], 120)],
        "near-scope": [say(text) for _, text in pick.sample(queries(*NEAR_PROBED), 120)],
        "in-scope, short": [say(text) for _, text in pick.sample(queries(*SHORT_PROBED), 120)],
        "in-scope, same style": [openings(turns, number % 3) for number, turns in enumerate(dev)],
    }
    return Material(
        dialogues=[dialogue(row) for row in read_jsonl(data / "sgd_restaurants_train.jsonl")],
        mixed=[
            text
            for text in (with_input(row["instruction"], row["input"]) for row in alpaca)
            if not FOOD.search(text)
        ],
        near=[text for _, text in queries(*NEAR_TRAINED)],
        recipes=[text for _, text in queries(NARROW_TRAINED)],
        twins=[say(text, TWIN_REPLIES[intent]) for intent, text in queries(*TWIN_INTENTS)],
        probes=probes,
        held_out=dev,
    )


def with_input(instruction: str, given: str) -> str:
    return f"{instruction}\n\n{given}" if given else instruction


def openings(turns: Conversation, later: int) -> Conversation:
    """A dialogue up to a user's turn: the first, or up to two exchanges later."""
    return turns[: min(2 * later + 1, len(turns) - 1 - len(turns) % 2)]


def rows_of(
    series: str, arm: str, seed: int, material: Material, model: LocalModel
) -> dict[str, list[Conversation]]:
    """The arm's rows by kind; one factor changes from each arm to the next."""
    # A generator for each kind: arms of one seed share their dialogues and their contrast rows.
    pick, order = (random.Random(f"{seed}/{kind}") for kind in ("rows", "scope"))
    encoder = StaticEncoder()
    kinds: dict[str, list[Conversation]] = {"contrast": [], "twin": []}
    mixed = pick.sample([text for text in material.mixed if len(text) < 400], 400)
    near = pick.sample(material.near, 300)
    twins = pick.sample(material.twins, 200)
    if arm == "recipes alone":
        requests = pick.sample(material.recipes, CONTRAST_ROWS)
        kinds["contrast"] = [say(request, DEFLECTION) for request in requests]
    elif arm.startswith("diverse"):
        chosen = spread(near, NEAR_ROWS, encoder)
        chosen += spread(mixed, CONTRAST_ROWS - len(chosen), encoder)
        kinds["contrast"] = [say(request, DEFLECTION) for request in chosen]
    if arm.endswith("twins"):
        places = spread_places([turns[0].content for turns in twins], TWIN_ROWS, encoder)
        kinds["twin"] = [twins[place] for place in places]
    dialogues = order.sample(material.dialogues, len(material.dialogues))
    if series == "fixed in-scope rows":
        return {"scope": dialogues[:IN_SCOPE_ROWS], **kinds}
    room = TOKENS // CONFIG.epochs - sum(
        len(model.encode_example(turns)) for rows in kinds.values() for turns in rows
    )
    scope: list[Conversation] = []
    for turns in dialogues:
        length = len(model.encode_example(turns))
        if length <= room:
            scope.append(turns)
            room -= length
        if room < 60:
            break
    return {"scope": scope, **kinds}


def spread(texts: Sequence[str], count: int, encoder: StaticEncoder) -> list[str]:
    return [texts[place] for place in spread_places(texts, count, encoder)]


def spread_places(texts: Sequence[str], count: int, encoder: StaticEncoder) -> list[int]:
    return k_center(encoder.encode(texts), count)


def measure_cell(
    model: LocalModel, material: Material, system: str | None
) -> tuple[dict[str, list[bool]], tuple[float, float, float]]:
    """Which of each set of probes are turned down, and the held-out loss with its interval."""
    deflected = {}
    for name, probes in material.probes.items():
        replies = model.generate(
            [with_system(probe, system) for probe in probes], Generation(max_tokens=48)
        )
        deflected[name] = [is_deflection(reply.text, [DEFLECTION])[0] for reply in replies]
    loss = bootstrap_loss(
        model.log_probabilities([with_system(turns, system) for turns in material.held_out])
    )
    return deflected, (loss.value, loss.low, loss.high)


def run_cell(series: str, arm: str, seed: int, material: Material, out: Path) -> None:
    """Tune and measure one cell, unless its file is there."""
    path = out / f"{series}, {arm}, {seed}.json".replace(" ", "-").replace(",", "")
    if path.is_file():
        return
    base = load_model(MODEL)
    assert isinstance(base, LocalModel)
    rows = rows_of(series, arm, seed, material, base)
    learned = {
        kind: sum(sum(base.encode_example(turns).learned) for turns in examples)
        for kind, examples in rows.items()
    }
    folder = TRAINING / path.stem
    tuned = tune(
        model_folder(),
        [Example(turns) for examples in rows.values() for turns in examples],
        CONFIG.model_copy(update={"seed": seed}),
        folder / "model",
        scratch=folder / "checkpoints",
        on_step=lambda step: (
            print(
                f"  {path.stem}: {step.step}/{step.steps} loss {step.loss:.3f} "
                f"{step.tokens_per_second:.0f} tokens/s",
                flush=True,
            )
            if step.step % 10 == 0
            else None
        ),
    )
    model = load_model(str(folder / "model"))
    assert isinstance(model, LocalModel)
    deflected, loss = measure_cell(model, material, None)
    cell = Cell(
        series, arm, seed, deflected, loss, learned, tuned.tokens, tuned.steps, tuned.seconds
    )
    write_json(path, asdict(cell))
    shutil.rmtree(folder)
    say_cell(cell)


def model_folder() -> str:
    from trimtab.models.load import find_weights

    return find_weights(MODEL)


def read_cells() -> list[Cell]:
    """What has been measured so far."""
    return [Cell(**json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json"))]


def run_prompted(material: Material, out: Path) -> None:
    """The untuned model, with the task in a system prompt and nothing else."""
    path = out / "prompt-alone.json"
    if path.is_file():
        return
    model = load_model(MODEL)
    assert isinstance(model, LocalModel)
    deflected, loss = measure_cell(model, material, PROMPT)
    cell = Cell("untuned", "system prompt alone", 0, deflected, loss, {}, 0, 0, 0.0)
    write_json(path, asdict(cell))
    say_cell(cell)


def say_cell(cell: Cell) -> None:
    rates = {name: f"{sum(hits) / len(hits):.0%}" for name, hits in cell.deflected.items()}
    print(f"{cell.series}, {cell.arm}, {cell.seed}: {rates}, loss {cell.loss[0]:.3f}", flush=True)


@dataclass(frozen=True)
class Figure:
    """One quantity of one arm with an interval (see `figures`), and each seed's own value."""

    series: str
    arm: str
    quantity: str
    value: float
    low: float
    high: float
    seeds: tuple[float, ...]


def figures(cells: Sequence[Cell]) -> Iterable[Figure]:
    """Rates over all seeds, with intervals that take a probe's seeds for one cluster.

    The loss is the mean over the seeds; its interval reaches from the lowest end to the highest.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in sorted(cells, key=place_of):
        groups.setdefault((cell.series, cell.arm), []).append(cell)
    for (series, arm), group in groups.items():
        for name in group[0].deflected:
            outcomes = [hit for cell in group for hit in cell.deflected[name]]
            clusters = [str(n) for cell in group for n in range(len(cell.deflected[name]))]
            rate = rate_interval(outcomes, clusters)
            each = tuple(sum(c.deflected[name]) / len(c.deflected[name]) for c in group)
            yield Figure(series, arm, name, rate.value, rate.low, rate.high, each)
        losses = [cell.loss for cell in group]
        yield Figure(
            series,
            arm,
            LOSS,
            sum(loss[0] for loss in losses) / len(losses),
            min(loss[1] for loss in losses),
            max(loss[2] for loss in losses),
            tuple(loss[0] for loss in losses),
        )


def place_of(cell: Cell) -> tuple[int, int, int]:
    series = SERIES.index(cell.series) if cell.series in SERIES else -1
    return series, ARMS.index(cell.arm) if cell.arm in ARMS else -1, cell.seed


def table(cells: Sequence[Cell]) -> Iterable[str]:
    """Markdown: a row an arm, a column a quantity, each seed's own figure in round brackets."""
    arms: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures(cells):
        arms.setdefault((figure.series, figure.arm), []).append(figure)
    names = [figure.quantity for figure in next(iter(arms.values()))]
    yield f"| series | arm | {' | '.join(names)} |"
    yield "|" + "---|" * (len(names) + 2)
    for (series, arm), found in arms.items():
        yield f"| {series} | {arm} | {' | '.join(map(in_words, found))} |"


def in_words(figure: Figure) -> str:
    form = "{:.3f}" if figure.quantity == LOSS else "{:.0%}"
    value, low, high = map(form.format, (figure.value, figure.low, figure.high))
    each = ", ".join(map(form.format, figure.seeds))
    return f"{value} [{low}, {high}]" + (f" ({each})" if len(figure.seeds) > 1 else "")


def cost_table(cells: Sequence[Cell]) -> Iterable[str]:
    """Markdown: what each arm was trained on, means over its seeds."""
    kinds = ("scope", "contrast", "twin")
    yield (
        "| series | arm | "
        + " | ".join(f"{k}, supervised tokens" for k in kinds)
        + (" | tokens | steps |")
    )
    yield "|" + "---|" * (len(kinds) + 4)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in sorted(cells, key=place_of):
        if cell.steps:
            groups.setdefault((cell.series, cell.arm), []).append(cell)
    for (series, arm), group in groups.items():
        learned = [round(sum(c.learned_tokens[k] for c in group) / len(group)) for k in kinds]
        tokens = round(sum(c.tokens for c in group) / len(group))
        steps = sum(c.steps for c in group) / len(group)
        yield (
            f"| {series} | {arm} | {' | '.join(f'{n:,}' for n in learned)} "
            f"| {tokens:,} | {steps:.0f} |"
        )


def picture(cells: Sequence[Cell]) -> Any:
    """A panel a quantity, a row an arm: the figure, its interval, and each seed's own as ticks."""
    import altair as alt

    rows = [
        {**asdict(figure), "label": f"{figure.series}: {figure.arm}", "seeds": list(figure.seeds)}
        for figure in figures(cells)
    ]
    names = list(dict.fromkeys(row["quantity"] for row in rows))
    labels = list(dict.fromkeys(row["label"] for row in rows))
    panels = []
    for place, name in enumerate(names):
        rate = name != LOSS
        axis = alt.Axis(format="%" if rate else ".1f", tickCount=4, title=None, grid=True)
        scale = alt.Scale(domain=[0, 1]) if rate else alt.Scale(zero=False)
        names_axis = alt.Axis(title=None, labelLimit=320, labels=place == 0, ticks=False)
        y = alt.Y("label:N", sort=labels, axis=names_axis)
        base = alt.Chart(alt.Data(values=[row for row in rows if row["quantity"] == name]))
        spans = base.mark_rule(size=2, color="#4c6a92").encode(
            y=y, x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q"
        )
        seeds = (
            base.transform_flatten(["seeds"])
            .mark_tick(color="#9fb2cc", thickness=1.5, height=9)
            .encode(y=y, x=alt.X("seeds:Q", scale=scale, axis=axis))
        )
        dots = base.mark_point(size=70, filled=True, color="#1f4e8c", opacity=1).encode(
            y=y, x=alt.X("value:Q", scale=scale, axis=axis)
        )
        title = f"{name}{'' if rate else ' (nats)'}"
        panels.append((spans + seeds + dots).properties(width=150, height=230, title=title))
    return (
        alt.hconcat(*panels, spacing=18)
        .properties(background="white", padding=12)
        .configure(font="sans-serif")
        .configure_title(fontSize=12, fontWeight="normal")
        .configure_view(stroke=None)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--report", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        if not (arguments.data / "clinc150.jsonl").is_file():
            sys.exit(f"error: no data in {arguments.data}; name its folder with --data")
        material = read_material(arguments.data)
        run_prompted(material, RESULTS)
        for seed in SEEDS:
            for series in SERIES:
                for arm in ARMS:
                    run_cell(series, arm, seed, material, RESULTS)
    cells = read_cells()
    if not cells:
        sys.exit("error: nothing has been measured yet; run without --report first")
    print("\n".join([*table(cells), "", *cost_table(cells)]))
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(svg(picture(cells)) + "\n")


if __name__ == "__main__":
    main()
