"""Steer a fine-tuned language model with a little of the right data.

The verbs are those of the command line: `from trimtab import measure, steer`. They are imported
when first asked for, so that `import trimtab` is quick.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimtab.app.chat import chat
    from trimtab.app.flows import compare, measure, plan, report, steer, tune
    from trimtab.app.templates import init
    from trimtab.charters import load_charter
    from trimtab.models.load import load_model
else:
    from importlib import import_module

    HOMES = {
        **dict.fromkeys(
            ("compare", "measure", "plan", "report", "steer", "tune"), "trimtab.app.flows"
        ),
        "chat": "trimtab.app.chat",
        "init": "trimtab.app.templates",
        "load_charter": "trimtab.charters",
        "load_model": "trimtab.models.load",
    }

    def __getattr__(name: str) -> object:
        if name in HOMES:
            return getattr(import_module(HOMES[name]), name)
        raise AttributeError(f"module 'trimtab' has no attribute {name!r}")


__all__ = [
    "chat",
    "compare",
    "init",
    "load_charter",
    "load_model",
    "measure",
    "plan",
    "report",
    "steer",
    "tune",
]
