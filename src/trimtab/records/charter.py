"""The behaviour wanted, as the charter's YAML says it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from trimtab.records.example import Kind

ClauseKind = Literal["perform", "deflect", "retain", "never"]


def _no_yes_for_a_number(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """The validated value; pydantic itself reads true as 1, and YAML reads yes as true."""
    valid = validate(value)
    if isinstance(value, bool) and not isinstance(valid, bool):
        raise PydanticKnownError("int_type" if isinstance(valid, int) else "float_type")
    return valid


Rate = Annotated[float, Field(ge=0.0, le=1.0)]
Dose = Annotated[int, Field(ge=0), WrapValidator(_no_yes_for_a_number)]


class Strict(BaseModel):
    """Frozen; an unknown key is an error, and so is a yes or no in place of a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _numbers = field_validator("*", mode="wrap")(_no_yes_for_a_number)


class Endpoint(Strict):
    """A server that speaks the OpenAI chat API."""

    url: str = Field(description="The address up to and with `/v1`.", pattern=r"^https?://")
    name: str = Field(description="The model's name there.")
    key_env: str | None = Field(
        None, description="The environment variable that holds the key; null: no key is sent."
    )
    in_flight: int = Field(16, ge=1, le=1024, description="Requests under way at once.")
    timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one answer.")
    retries: int = Field(
        4, ge=0, le=20, description="Further tries after a refusal, a time-out, a 429 or a 5xx."
    )


ModelSpec = str | Endpoint
SCRIPTED = "scripted:"
"""What a model's name begins with where the rest is the path of a script."""


class Generation(Strict):
    """How replies are made. Greedy unless a temperature is given."""

    max_tokens: int = Field(64, ge=1, le=32_768, description="Longest reply.")
    temperature: float = Field(0.0, ge=0.0, le=5.0, description="0: greedy.")
    seed: int = Field(0, ge=0, description="Of sampling; takes a temperature.")


class DataFile(Strict):
    """A data file; `columns` maps our names (messages, prompt, reply …) to the file's own."""

    path: str = Field(description="JSONL, JSON, Parquet or CSV.")
    columns: dict[str, str] = Field(
        default_factory=dict, description="Our names for columns, to the file's."
    )


class PoolFile(DataFile):
    """A file that a plan may train on."""

    kind: Kind = Field(description="What the rows are to a plan.")


def _one_name(check: str | dict[str, Any]) -> str | dict[str, Any]:
    if isinstance(check, dict):
        if len(check) != 1:
            raise ValueError("a check with options is one name and its options: {number: {}}")
        ((name, options),) = check.items()
        if options is not None and not isinstance(options, dict):
            raise ValueError(f"the options of {name} must be a mapping, not {options!r}")
    return check


NamedCheck = Annotated[str | dict[str, Any], AfterValidator(_one_name)]


class Clause(Strict):
    """One line of the behaviour wanted. Its kind decides which target it takes."""

    kind: ClauseKind
    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="Its name in tables and reports."
    )
    requests: str = Field(description="The file of what is asked.")
    columns: dict[str, str] = Field(
        default_factory=dict, description="Our names for its columns, to the file's."
    )
    checks: tuple[NamedCheck, ...] = Field(
        (), description="Names, or `{name: {options}}`; a reply passes when all hold."
    )
    reply: str | None = Field(None, description="What a deflect clause's requests are answered.")
    at_least: Rate | None = Field(None, description="Target of perform and deflect.")
    at_most: Rate | None = Field(None, description="Target of never.")
    lose_at_most: Rate | None = Field(None, description="Target of retain: a margin.")
    chance: Rate = Field(0.0, description="The rate of a model that guesses, for retain clauses.")

    @property
    def target(self) -> float:
        """The rate to reach, not to exceed, or not to lose, by the clause's kind."""
        target = {
            "perform": self.at_least,
            "deflect": self.at_least,
            "retain": self.lose_at_most,
            "never": self.at_most,
        }[self.kind]
        assert target is not None  # the validator below saw to it
        return target

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> Self:
        wanted = TARGET_KEYS[self.kind]
        for key in ("at_least", "at_most", "lose_at_most"):
            if key == wanted and getattr(self, key) is None:
                raise ValueError(f"a {self.kind} clause needs {wanted}")
            if key != wanted and getattr(self, key) is not None:
                raise ValueError(f"a {self.kind} clause takes {wanted}, not {key}")
        if self.kind == "deflect" and not self.reply:
            raise ValueError("a deflect clause needs the reply that turns a request down")
        if self.kind != "deflect" and self.reply is not None:
            raise ValueError(f"reply has no effect in a {self.kind} clause")
        if self.kind != "retain" and self.chance:
            raise ValueError(f"chance has no effect in a {self.kind} clause")
        if self.kind != "deflect" and not self.checks:
            raise ValueError(f"a {self.kind} clause needs checks")
        return self


TARGET_KEYS: dict[ClauseKind, str] = {
    "perform": "at_least",
    "deflect": "at_least",
    "retain": "lose_at_most",
    "never": "at_most",
}


class SplitConfig(Strict):
    """How requests are parted into what the loop may look at and what it may not."""

    final: float = Field(
        0.5, gt=0.0, lt=1.0, description="Share of seed requests kept for `--final`."
    )
    seed: int = Field(0, ge=0, description="Another seed parts them in another way.")


class TuneConfig(Strict):
    """How a model is trained."""

    method: Literal["full", "lora"] = Field(
        "full", description="All weights, or a LoRA adapter on all linear layers."
    )
    learning_rate: float | None = Field(
        None,
        gt=0.0,
        le=1.0,
        description="Peak rate. Null: 3e-4 at 135M parameters, falling with size to 1e-5 at 7B; "
        "ten times that for LoRA, at most 3e-3.",
    )
    epochs: int = Field(2, ge=1, le=100, description="Passes over the rows.")
    step_tokens: int | None = Field(
        None,
        ge=16,
        description="Tokens a step, prompts included. Null: as many as leave 40 steps or more, "
        "between 256 and 8192.",
    )
    warm_up: float = Field(0.05, ge=0.0, lt=1.0, description="Share of steps before the peak.")
    weight_decay: float = Field(0.0, ge=0.0, le=1.0, description="AdamW's, on matrices alone.")
    clip: float = Field(1.0, gt=0.0, description="Largest norm of the gradient.")
    lora_rank: int | None = Field(None, ge=1, description="Rank; LoRA alone. Null: 16.")
    lora_alpha: float | None = Field(
        None, gt=0.0, description="Scale times rank; LoRA alone. Null: twice the rank."
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="Of the passes; weights are kept in fp32. auto: bf16 where it is fast."
    )
    seed: int = Field(0, ge=0, description="Of order, rounding and new weights.")
    checkpoint_seconds: float = Field(
        60.0, gt=0.0, description="Least time between two checkpoints, from which a run goes on."
    )

    @model_validator(mode="after")
    def _options_have_effect(self) -> Self:
        if self.method != "lora":
            for key in ("lora_rank", "lora_alpha"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} has no effect with method full")
        return self


class Budget(Strict):
    """What a steer run may spend on training; whichever is reached first ends the search."""

    tokens: int | None = Field(None, ge=1, description="Tokens trained on, all candidates.")
    minutes: float | None = Field(None, gt=0, description="Of the loop; restarts add up.")
    rows: int | None = Field(None, ge=1, description="Most rows in one candidate's plan.")
    candidates: int = Field(4, ge=1, description="Most candidates to train.")


class Charter(Strict):
    """One file that says what a model must do, must not do, and must not lose."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Of the charter and its runs."
    )
    model: ModelSpec = Field(
        description="A bundled name, a folder, a run, a hub id, an endpoint, `scripted:file.yaml`."
    )
    baseline: ModelSpec | None = Field(
        None,
        description="What retain clauses compare with. Null: what steering begins with.",
    )
    system: str | None = Field(
        None, description="The system turn in training and use. Null: the chat template's own."
    )
    generation: Generation = Field(Generation(), description="How replies are made.")
    split: SplitConfig = Field(
        SplitConfig(), description="How requests are parted into *select* and *final*."
    )
    pool: tuple[PoolFile, ...] = Field((), description="Files that a plan may train on.")
    clauses: tuple[Clause, ...] = Field(min_length=1)
    held_out: DataFile | None = Field(
        None, description="Conversations whose loss is reported, and never trained on."
    )
    specialise: TuneConfig | None = Field(
        None, description="Tune on the pool's scope and replay rows before steering begins."
    )
    tune: TuneConfig = Field(TuneConfig(), description="How candidates are trained.")
    doses: dict[Kind, Dose] = Field(
        default={"contrast": 64, "twin": 80, "scope": 16, "replay": 8},
        description="Rows of each kind in the first candidate's plan.",
    )
    control: bool = Field(
        False,
        description="Also train the kept plan without its contrast rows for as many steps, and "
        "compare the held-out loss; needs held_out.",
    )
    budget: Budget = Field(Budget(), description="What a steer run may spend.")
    folder: str = "."

    @field_validator("clauses")
    @classmethod
    def _ids_differ(cls, clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
        seen: set[str] = set()
        for clause in clauses:
            if clause.id in seen:
                raise ValueError(f"two clauses are called {clause.id!r}; ids must differ")
            seen.add(clause.id)
        return clauses

    @property
    def deflections(self) -> tuple[str, ...]:
        """The replies of the deflect clauses, in order, each once."""
        replies = (clause.reply for clause in self.clauses if clause.reply)
        return tuple(dict.fromkeys(replies))
