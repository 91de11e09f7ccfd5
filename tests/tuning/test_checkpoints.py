"""Checkpoints are whole or not there, and belong to one training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trimtab.records.errors import TuningError
from trimtab.tuning.checkpoints import Checkpoints

State = tuple[dict[str, torch.Tensor], torch.optim.Optimizer]


def trained(steps: int, seed: int = 0) -> State:
    """Two weights after some steps of AdamW on random gradients."""
    generator = torch.Generator().manual_seed(seed)
    weights = {name: torch.randn(3, 2, generator=generator) for name in ("a", "b")}
    optimizer = torch.optim.AdamW(list(weights.values()), lr=0.1)
    advance((weights, optimizer), steps, generator)
    return weights, optimizer


def advance(state: State, steps: int, generator: torch.Generator) -> None:
    for _ in range(steps):
        for weight in state[0].values():
            weight.grad = torch.randn(3, 2, generator=generator)
        state[1].step()


def test_without_a_checkpoint_training_begins_at_its_start(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", "x", 60).restore(*trained(0)) == 0


def test_what_is_restored_goes_on_as_what_was_saved(tmp_path: Path) -> None:
    saved, restored = trained(5), trained(0, seed=1)
    Checkpoints(tmp_path, "x", 60).save(5, *saved)
    assert Checkpoints(tmp_path, "x", 60).restore(*restored) == 5
    for state in (saved, restored):
        advance(state, 4, torch.Generator().manual_seed(9))
    for name in ("a", "b"):
        assert torch.equal(saved[0][name], restored[0][name])


def test_the_latest_one_is_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "x", 60)
    for step in (9, 10, 100):
        checkpoints.save(step, *trained(step % 7 + 1))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000100"]
    assert checkpoints.restore(*trained(0)) == 100


def test_saves_come_no_more_often_than_asked(tmp_path: Path) -> None:
    state = trained(1)
    Checkpoints(tmp_path / "later", "x", 3600).save_when_due(1, *state)
    Checkpoints(tmp_path / "now", "x", 1e-9).save_when_due(1, *state)
    assert not (tmp_path / "later").exists()
    assert (tmp_path / "now" / "step-00000001").is_dir()


def test_what_a_kill_during_a_save_leaves_does_no_harm(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "x", 60)
    checkpoints.save(3, *trained(3))
    partial = tmp_path / ".step-00000004.0badcafe.partial"
    partial.mkdir()
    (partial / "state.safetensors").write_bytes(b"half")
    restored = trained(0, seed=1)
    assert checkpoints.restore(*restored) == 3
    assert torch.equal(restored[0]["a"], trained(3)[0]["a"])


def test_a_failing_save_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, "x", 60)
    checkpoints.save(3, *trained(3))

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trimtab.tuning.checkpoints.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(4, *trained(4))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]
    assert checkpoints.restore(*trained(0)) == 3


def test_a_kill_before_the_older_one_is_dropped_leaves_the_newer(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "other", "x", 60).save(3, *trained(3))
    Checkpoints(tmp_path / "both", "x", 60).save(12, *trained(5))
    (tmp_path / "other" / "step-00000003").rename(tmp_path / "both" / "step-00000003")
    restored = trained(0, seed=1)
    assert Checkpoints(tmp_path / "both", "x", 60).restore(*restored) == 12
    assert torch.equal(restored[0]["b"], trained(5)[0]["b"])


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "these rows", 60).save(3, *trained(3))
    with pytest.raises(TuningError, match="another training"):
        Checkpoints(tmp_path, "other rows", 60).restore(*trained(0))


def test_clearing_leaves_nothing_and_may_come_twice(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", "x", 60)
    checkpoints.save(3, *trained(3))
    checkpoints.clear()
    checkpoints.clear()
    assert not (tmp_path / "c").exists()
