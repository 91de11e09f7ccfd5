"""Training as flows do it: from a model's name, opened by the system turn, with a bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.app.progress import Progress
from trimtab.models.load import as_endpoint, find_weights
from trimtab.records.charter import ModelSpec, TuneConfig
from trimtab.records.conversation import with_system
from trimtab.records.errors import ModelError
from trimtab.records.example import Example
from trimtab.store import folder_hash, read_json, write_json

if TYPE_CHECKING:
    from trimtab.tuning.loop import StepReport
    from trimtab.tuning.sft import Tuned


def train_into(
    source: str,
    examples: Sequence[Example],
    config: TuneConfig,
    folder: Path,
    progress: Progress,
    system: str | None,
    label: str,
    steps: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Tuned:
    """Train into `folder`/model, with a bar; `folder`/tuned.json says what it took."""
    from trimtab.tuning.sft import Tuned
    from trimtab.tuning.sft import tune as train

    if (folder / "tuned.json").is_file():
        return read_json(folder / "tuned.json", Tuned)
    with progress.stage(label, None, "steps") as stage:

        def on_step(step: StepReport) -> None:
            stage.expect(step.steps)
            stage.advance(1, f"loss {step.loss:.3f}, {step.tokens_per_second:,.0f} tokens/s")
            tick()

        tuned = train(
            source,
            opened(examples, system),
            config,
            folder / "model",
            scratch=folder / "checkpoints",
            on_step=on_step,
            exact_steps=steps,
        )
    write_json(folder / "tuned.json", tuned)
    return tuned


def refuse_what_does_not_fit(
    source: str, rows: Sequence[Example], system: str | None, progress: Progress
) -> None:
    """DataError naming every row that the model cannot be trained on, before any training."""
    from trimtab.tuning.sft import require_fitting

    progress.say(f"checking that {len(rows):,} rows fit into the model's context")
    require_fitting(source, opened(rows, system))


def weights_hash(source: str) -> str:
    """What a model's folder holds; a hub id stands for itself."""
    return folder_hash(source) if Path(source).is_dir() else source


def opened(examples: Sequence[Example], system: str | None) -> list[Example]:
    """The examples with the charter's system turn, as the model will be used."""
    return [
        Example(with_system(each.messages, system), each.kind, each.topic, each.where)
        for each in examples
    ]


def weights_of(spec: ModelSpec) -> str:
    """Where a model to train lies; ModelError for one that cannot be trained here."""
    if as_endpoint(spec) is not None or str(spec).startswith("scripted:"):
        raise ModelError(
            "this model's weights are not here, so it cannot be trained",
            where=str(spec),
            fix="Name a bundled model, a folder, a run or a hub id.",
        )
    return find_weights(str(spec))
