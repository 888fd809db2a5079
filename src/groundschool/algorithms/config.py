"""The options of each algorithm: types, ranges and defaults are their documentation.

No JAX here, so that configurations are checked before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from groundschool.errors import InputError, suggest
from groundschool.policies.encoding import Encoding

Rate = Annotated[float, Field(gt=0.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]


class AlgorithmConfig(BaseModel):
    """Options every learner has.

    Attributes
    ----------
    steps : int
        Gradient steps; every one is taken.
    batch_size : int
        Transitions a step, drawn uniformly with replacement.
    learning_rate : float
        Adam's, at the first step.
    schedule : {"cosine", "constant"}
        ``cosine`` decays the rate to 0 at the last step (Loshchilov & Hutter 2017, arXiv:1608.03983).
    hidden : tuple of int
        Widths of the hidden layers (ReLU).
    networks : int
        Size of the ensemble; its outputs are averaged.
    gradient_clip : float, optional
        Largest global gradient norm of one network.
    weight_decay : float
        Decoupled (Loshchilov & Hutter 2019, arXiv:1711.05101), scaled by the learning rate.
    encoding : {"auto", "standardize", "one-hot", "fourier", "raw"}
        How observations become inputs; see ``groundschool.policies.encoding``.
    frequencies : int, optional
        Cosine and sine pairs of a Fourier column; None tells every value from its neighbors, few generalise between
        neighbors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Numbers that enter the compiled program as data: a population may differ in them, one compilation serves all.
    TRACED: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay")
    HINTS: ClassVar[Mapping[str, str]] = {
        "lr": "learning_rate",
        "gamma": "discount",
        "n_steps": "steps",
        "hidden_units": "hidden",
        "n_critics": "networks",
    }

    steps: PositiveInt = 10_000
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    hidden: tuple[PositiveInt, ...] = (64, 64)
    networks: PositiveInt = 1
    gradient_clip: PositiveFloat | None = None
    weight_decay: NonNegativeFloat = 0.0
    encoding: Encoding = "auto"
    frequencies: PositiveInt | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: Any) -> Any:
        # pydantic takes True for 1
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise PydanticCustomError("not_a_truth_value", "expected something else than a truth value")
        return value


class BCConfig(AlgorithmConfig):
    """Options of behavior cloning.

    Whole-number columns get all their frequencies: cloning must follow the logger's local exceptions.

    Attributes
    ----------
    logit_penalty : float
        Weight of ``mean(log_probability ** 2)``, d3rlpy's ``beta`` (0.5 there). It caps the top probability and so
        ruins the policy as a behavior model: 0 here.
    propensity_weight : float
        Weight of ``mean((log_probability - log(propensity)) ** 2)`` of the logged actions. A logged propensity says how
        likely the action was, where the action alone is one draw. Above 0 it needs a log with propensities.
    """

    TRACED: ClassVar[tuple[str, ...]] = (*AlgorithmConfig.TRACED, "logit_penalty")
    HINTS: ClassVar[Mapping[str, str]] = {**AlgorithmConfig.HINTS, "beta": "logit_penalty"}

    batch_size: PositiveInt = 128
    learning_rate: PositiveFloat = 3e-3
    logit_penalty: NonNegativeFloat = 0.0
    propensity_weight: NonNegativeFloat = 0.0


class CQLConfig(AlgorithmConfig):
    """Options of discrete Conservative Q-Learning.

    Whole-number columns get one frequency: values that are smooth between neighbors carry the fear of a danger to
    places from which the log has not yet shown it.

    Attributes
    ----------
    discount : float in [0, 1]
    conservative_weight : float
        α of Kumar et al. 2020, eq. 4; d3rlpy calls it ``alpha``. 0 is plain double Q-learning.
    td_loss : {"squared", "huber"}
    double_q : bool
        Choose the next action by the online networks, value it by the target ones.
    target_rate : float in (0, 1]
        Share of the way each target weight moves to the online one at every step.
    target_every : int, optional
        Copy the online weights every so many steps instead; ``target_rate`` is then unused.
    reward_scale : float or "auto"
        Rewards are divided by it while learning; ``auto`` is the standard deviation of the training episodes' returns.
    support : {"auto", "counts", "none"}
        Restrict greedy actions, in targets and in the policy, to those the log supports in the same state. ``auto``:
        by counts where observations are discrete, else none.
    support_min_count : int
        Fewest times an action must have been logged in the state.
    support_min_share : float in [0, 1]
        ... and relative to the state's most frequent action.
    """

    TRACED: ClassVar[tuple[str, ...]] = (*AlgorithmConfig.TRACED, "discount", "conservative_weight", "target_rate")
    HINTS: ClassVar[Mapping[str, str]] = {
        **AlgorithmConfig.HINTS,
        "alpha": "conservative_weight",
        "tau": "target_rate",
        "target_update_interval": "target_every",
    }

    frequencies: PositiveInt | None = 1
    networks: PositiveInt = 2
    discount: Share = 0.99
    conservative_weight: NonNegativeFloat = 1.0
    td_loss: Literal["squared", "huber"] = "squared"
    double_q: bool = True
    target_rate: Rate = 0.005
    target_every: PositiveInt | None = None
    reward_scale: PositiveFloat | Literal["auto"] = "auto"
    support: Literal["auto", "counts", "none"] = "auto"
    support_min_count: PositiveInt = 3
    support_min_share: Share = 0.3


CONFIGS: dict[str, type[AlgorithmConfig]] = {"bc": BCConfig, "cql": CQLConfig}


def configure(algorithm: str, options: Mapping[str, Any]) -> AlgorithmConfig:
    """Build an algorithm's configuration from options by name.

    Raises
    ------
    InputError
        If the algorithm or an option is unknown, or a value is out of range: one sentence for all that is wrong.
    """
    if algorithm not in CONFIGS:
        raise InputError(
            f"algorithm {algorithm!r} is unknown.{suggest(algorithm, CONFIGS)} Known: {', '.join(CONFIGS)}"
        )
    kind = CONFIGS[algorithm]
    try:
        return kind(**options)
    except ValidationError as error:
        raise InputError("; ".join(_sentence(algorithm, kind, item) for item in error.errors())) from None


def _sentence(algorithm: str, kind: type[AlgorithmConfig], item: Any) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    if item["type"] != "extra_forbidden":
        return f"{algorithm} option {name!r}: {item['msg'][0].lower()}{item['msg'][1:]}, got {item['input']!r}"
    if name in kind.HINTS:
        return f"{algorithm} has no option {name!r}: it is called {kind.HINTS[name]!r} here"
    return f"{algorithm} has no option {name!r}.{suggest(name, kind.model_fields)}"
