"""States from which training goes on: written whole or not at all, the latest one kept."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from trimtab.records.errors import TuningError
from trimtab.store import fill_folder, remove_folder

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Checkpoints:
    """The checkpoints of one training in one folder.

    `identity` says what is trained, on which rows, with which settings; a checkpoint of another
    training is not gone on from. `every_seconds` is the least time between two.
    """

    def __init__(self, folder: Path, identity: str, every_seconds: float) -> None:
        self._folder = folder
        self._identity = identity
        self._every_seconds = every_seconds
        self._saved_at = time.monotonic()

    def save_when_due(
        self, step: int, weights: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer
    ) -> None:
        """Save if the last save is long enough ago."""
        if time.monotonic() - self._saved_at >= self._every_seconds:
            self.save(step, weights, optimizer)

    def save(
        self, step: int, weights: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer
    ) -> None:
        """Write the state after `step` steps, then drop the older ones."""
        state: dict[str, torch.Tensor] = {}
        for name, weight in weights.items():
            state[f"weight/{name}"] = weight.detach()
            for key, value in optimizer.state[weight].items():
                state[f"{key}/{name}"] = value
        with fill_folder(self._folder / f"step-{step:08d}") as folder:
            save_file(state, folder / "state.safetensors", metadata={"identity": self._identity})
        for older in self._folder.glob("step-*"):
            if older.name != f"step-{step:08d}":
                remove_folder(older)
        self._saved_at = time.monotonic()

    def restore(self, weights: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> int:
        """Fill weights and optimizer from the latest checkpoint; the steps done, 0 without one."""
        folders = sorted(self._folder.glob("step-" + "[0-9]" * 8))
        if not folders:
            return 0
        path = folders[-1] / "state.safetensors"
        self._require_same(path)
        state = load_file(path)
        for name, weight in weights.items():
            with torch.no_grad():
                weight.copy_(state[f"weight/{name}"])
            # A weight that never had a gradient has no moments. All of them, the count of steps
            # too, lie on the weight's device, as the fused update wants it.
            moments = {
                key: state[f"{key}/{name}"].to(weight.device)
                for key in MOMENTS
                if f"{key}/{name}" in state
            }
            if moments:
                optimizer.state[weight] = moments
        return int(folders[-1].name.removeprefix("step-"))

    def clear(self) -> None:
        """Drop every checkpoint: the training is done."""
        if self._folder.exists():
            remove_folder(self._folder)

    def _require_same(self, path: Path) -> None:
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            identity = (file.metadata() or {}).get("identity")
        if identity != self._identity:
            raise TuningError(
                "this checkpoint belongs to another training",
                where=str(path),
                fix="Give another --out, or delete the folder of the checkpoint.",
            )
