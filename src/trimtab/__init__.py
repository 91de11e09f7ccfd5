"""Steer a fine-tuned language model with a little of the right data.

The verbs are those of the command line: `from trimtab import measure, steer`. They are imported
when first asked for, so that `import trimtab` is quick.
"""

from importlib import import_module
from typing import Any

VERBS = ("compare", "measure", "plan", "report", "steer", "tune")
__all__ = [*VERBS, "load_charter", "load_model"]
_HOMES = {
    **dict.fromkeys(VERBS, "trimtab.app.flows"),
    "load_charter": "trimtab.charters",
    "load_model": "trimtab.models.load",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'trimtab' has no attribute {name!r}")
