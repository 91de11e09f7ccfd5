"""From a model's name to a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from trimtab.models.bundled import BUNDLED, bundled_folder, is_added
from trimtab.records.charter import SCRIPTED, Endpoint, ModelSpec
from trimtab.records.errors import ModelError, did_you_mean, nearest_file
from trimtab.records.protocols import Model

Precision = Literal["auto", "bf16", "fp32"]
HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


def load_model(spec: ModelSpec, *, precision: Precision = "auto") -> Model:
    """A bundled name, a model folder, a run, a hub id, an endpoint, or `scripted:rules.yaml`.

    An endpoint in text is `http://host/v1#model-name`, without a key; a charter's mapping can
    name one. Raises ModelError where there is no such model, with the nearest name.
    """
    endpoint = as_endpoint(spec)
    if endpoint is not None:
        from trimtab.models.endpoint import EndpointModel

        return EndpointModel(endpoint)
    name = str(spec)
    if name.startswith(SCRIPTED):
        from trimtab.models.scripted import ScriptedModel

        return ScriptedModel.from_file(name.removeprefix(SCRIPTED))
    source = find_weights(name)
    from trimtab.models.local import load_local

    return load_local(source, name, precision=precision)


def as_endpoint(spec: ModelSpec) -> Endpoint | None:
    """The endpoint that a spec names, or None where it names something else."""
    if isinstance(spec, Endpoint):
        return spec
    if not spec.startswith(("http://", "https://")):
        return None
    url, _, name = spec.partition("#")
    if not name:
        raise ModelError(
            "an endpoint needs its model's name", where=spec, fix=f"Write {url}#model-name."
        )
    return Endpoint(url=url, name=name)


def find_weights(name: str) -> str:
    """The folder, or hub id, where a local model's weights are; ModelError where nothing is."""
    if not name.strip():
        raise ModelError("a model needs a name", fix=f"There are: {', '.join(BUNDLED)}.")
    if name in BUNDLED:
        if not is_added(name):
            raise ModelError(
                f"the bundled model {name} has not been added yet",
                fix=f"Run: trimtab model add {name}",
            )
        return str(bundled_folder(name))
    folder = Path(name)
    if folder.is_dir():
        if (folder / "run.yaml").is_file():
            return str(_model_of_run(folder))
        if any((folder / config).is_file() for config in ("config.json", "adapter_config.json")):
            return str(folder)
        raise ModelError(
            "this folder is neither a model (no config.json) nor a run (no run.yaml)", where=name
        )
    if folder.parent.is_dir() and "/" in name:
        raise ModelError("there is no such folder", where=name, fix=nearest_file(folder))
    if HUB_ID.match(name) and not name.startswith("."):
        return name
    raise ModelError(
        f"there is no model {name!r}",
        fix=f"{did_you_mean(name, BUNDLED)} A folder or a hub id will do as well.",
    )


def _model_of_run(folder: Path) -> Path:
    model = folder / "model"
    if not model.is_dir():
        raise ModelError(
            "this run has no model of its own yet",
            where=str(folder),
            fix="Only finished tune and steer runs have one.",
        )
    return model
