"""A name leads to one model, or to an error that says what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.models.load import as_endpoint, find_weights, load_model
from trimtab.records.charter import Endpoint
from trimtab.records.errors import ModelError

BUNDLED = "smollm2-135m-instruct"


def test_a_model_folder_is_itself(tiny_model: Path) -> None:
    assert find_weights(str(tiny_model)) == str(tiny_model)
    assert load_model(str(tiny_model), precision="fp32").name == str(tiny_model)


def test_an_adapters_folder_is_a_models(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").touch()
    assert find_weights(str(tmp_path)) == str(tmp_path)


def test_a_runs_folder_leads_to_its_model(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").touch()
    with pytest.raises(ModelError, match="no model of its own"):
        find_weights(str(tmp_path))
    (tmp_path / "model").mkdir()
    assert find_weights(str(tmp_path)) == str(tmp_path / "model")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"neither a model .* nor a run"):
        find_weights(str(tmp_path))


def test_a_bundled_name_leads_to_the_cache(bundled: Path) -> None:
    assert find_weights(BUNDLED) == str(bundled)


def test_a_bundled_model_that_was_not_added_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=f"trimtab model add {BUNDLED}"):
        find_weights(BUNDLED)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=f"Did you mean '{BUNDLED}'"):
        find_weights("smollm2-135-instruct")
    with pytest.raises(ModelError, match=f"There are: {BUNDLED}. A folder or a hub id"):
        find_weights("qqq")


def test_a_misspelt_folder_is_not_taken_for_a_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "first").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="Did you mean 'first'"):
        find_weights("runs/frist")


@pytest.mark.parametrize("name", ["", " "])
def test_no_name_is_no_model(name: str) -> None:
    with pytest.raises(ModelError, match="a model needs a name"):
        load_model(name)


@pytest.mark.parametrize("name", ["HuggingFaceTB/SmolLM2-135M", "org/name.v1_2"])
def test_a_hub_id_is_passed_on(name: str) -> None:
    assert find_weights(name) == name


@pytest.mark.parametrize("name", ["./no/such", "/no/such", "../missing", "a/b/c"])
def test_a_path_to_nothing_is_no_hub_id(name: str) -> None:
    with pytest.raises(ModelError, match=r"there is no (model|such folder)"):
        find_weights(name)


def test_an_address_with_a_name_is_an_endpoint() -> None:
    assert as_endpoint("http://host:8000/v1#qwen") == Endpoint(
        url="http://host:8000/v1", name="qwen"
    )
    assert as_endpoint("https://host/v1#a/b") == Endpoint(url="https://host/v1", name="a/b")
    assert as_endpoint("folder") is None
    with pytest.raises(ModelError, match="#model-name"):
        as_endpoint("http://host/v1")


def test_a_scripted_model_is_read_from_its_rules(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"rules\.yaml"):
        load_model(f"scripted:{tmp_path / 'rules.yaml'}")
