"""A story's held-out losses, as a report shows them."""

from __future__ import annotations

from trimtab.records.profile import Loss
from trimtab.records.story import Story


def held_out_losses(story: Story) -> dict[str, Loss]:
    """Each model's held-out loss; empty where nothing is held out or no model could tell it."""
    losses = {
        "before": story.before.held_out if story.before else None,
        "after" if story.before else "the model": story.profile.held_out,
        "control": story.control.loss if story.control else None,
    }
    return {model: loss for model, loss in losses.items() if loss}
