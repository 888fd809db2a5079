"""The semiparametric efficiency bound of off-policy evaluation in a process with a finite horizon, exactly.

No regular estimator that knows only "this is a Markov process whose dynamics do not depend on the step" has a smaller
asymptotic variance. The bound is that of Kallus & Uehara (arXiv:1909.05850), whose horizon is endless and discounted,
carried over to episodes of at most H steps.

Derivation. The likelihood of an episode is p0(s_0) times, over its steps, b(a_t|s_t) p(r_t, o_t|s_t, a_t), with one p
for all steps. Let d_t be the target policy's distribution over states at step t, V_t its value with steps t to H - 1 to
go, and D = sum_t d_t; D_b the same for the behavior policy. Along a path of models with scores g0(s) of p0 and
g(r, o|s, a) of p, the value v = E[V_0(s_0)] changes by

    E_p0[g0 V_0] + sum_t sum_s,a d_t(s) pi(a|s) E[g(r, o|s, a) (r + V_{t+1}(o))]
        = E_p0[g0 V_0] + sum_s,a D(s) pi(a|s) E[g(r, o|s, a) U(s, r, o)],
    U(s, r, o) = sum_t d_t(s) (r + V_{t+1}(o)) / D(s)                        the pooled-time value

The tangent space of p holds sums over an episode of one function h(s_t, a_t, r_t, o_t) with mean zero given (s_t, a_t).
It contains phi = V_0(s_0) - v + sum_t w(s_t, a_t) (U - E[U|s_t, a_t]), whose product with the score of an episode has
the mean above exactly when w = D pi / (D_b b), because terms of different steps are uncorrelated. So phi is the
efficient influence function, and its variance, the bound for one episode, is

    Var_p0[V_0(s_0)] + sum_s,a D(s)^2 pi(a|s)^2 / (D_b(s) b(a|s)) Var[U | s, a].

Knowing the behavior policy does not lower it. The probability of any cost is the expected sum of a signal that is 1 in
the step of the first event, where the process is taken to end: of what comes after an event nothing is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundschool.evaluation.tabular import TabularModel

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Bound:
    """A value and the least asymptotic variance of its estimate.

    Attributes
    ----------
    value : float
    variance : float
        For one episode: that of n episodes is ``variance / n``. Infinite where the target does what is never logged.
    """

    value: float
    variance: float

    def standard_error(self, episodes: int) -> float:
        """Return the least standard error from that many episodes."""
        return float(np.sqrt(self.variance / episodes))


def efficiency_bound(
    model: TabularModel, target: FloatArray, behavior: FloatArray, of: str = "return", *, reward_noise: float = 0.0
) -> Bound:
    """Return the efficiency bound of a value.

    Parameters
    ----------
    model : TabularModel
    target, behavior : (S, A)
        Action probabilities by state.
    of : str
        "return", "cost:NAME" or "probability:NAME", as in ``groundschool.evaluate``.
    reward_noise : float
        Standard deviation of independent noise on each reward.
    """
    kind, _, name = of.partition(":")
    onward = model.transitions * ~model.terminal
    if kind == "return":
        signal = model.rewards
    elif kind == "cost":
        signal, reward_noise = model.costs[name], 0.0
    else:
        event = np.broadcast_to(model.costs[name] > 0, model.transitions.shape)
        signal, reward_noise = event.astype(np.float64), 0.0
        onward = onward * ~event
    return _bound(model, signal, onward, target, behavior, reward_noise)


def _bound(
    model: TabularModel,
    signal: FloatArray,
    onward: FloatArray,
    target: FloatArray,
    behavior: FloatArray,
    reward_noise: float,
) -> Bound:
    """Compute it for a signal (S, A, S) and the transitions after which an episode goes on (S, A, S)."""
    flow = _flow(model, onward, target)
    visits, logged = flow.sum(axis=0), _flow(model, onward, behavior).sum(axis=0)
    values = _values(model, signal, onward, target)
    share = np.divide(flow, visits, out=np.zeros_like(flow), where=visits > 0)  # (H, S)
    ahead = share.T @ values[1:]  # (S, S): mean over steps of V_{t+1}(o) by the state it is seen from
    probability = model.transitions
    goes_on = np.divide(onward, probability, out=np.zeros_like(onward), where=probability > 0)
    pooled = signal + goes_on * ahead[:, None, :]
    mean = np.einsum("sao,sao->sa", probability, pooled)
    spread = np.einsum("sao,sao->sa", probability, np.square(pooled - mean[:, :, None])) + reward_noise**2
    weight = visits[:, None] * target
    used = weight > 0
    chance = logged[:, None] * behavior
    if (used & (chance == 0) & (spread > 0)).any():
        variance = np.inf
    else:
        variance = float(np.divide(weight**2 * spread, chance, out=np.zeros_like(weight), where=chance > 0).sum())
    first = values[0]
    value = float(model.initial @ first)
    return Bound(value, variance + float(model.initial @ np.square(first - value)))


def _flow(model: TabularModel, onward: FloatArray, policy: FloatArray) -> FloatArray:
    """Return the probability of being in each state at each step, (H, S)."""
    kernel = np.matmul(policy[:, None, :], onward)[:, 0, :]
    flow = np.empty((model.horizon, model.n_states))
    flow[0] = model.initial
    for t in range(1, model.horizon):
        flow[t] = flow[t - 1] @ kernel
    return flow


def _values(model: TabularModel, signal: FloatArray, onward: FloatArray, policy: FloatArray) -> FloatArray:
    """Return the expected sum of the signal from each step and state on, (H + 1, S); 0 after the last step."""
    gain = np.einsum("sa,sao,sao->s", policy, model.transitions, signal)
    kernel = np.matmul(policy[:, None, :], onward)[:, 0, :]
    values = np.zeros((model.horizon + 1, model.n_states))
    for t in reversed(range(model.horizon)):
        values[t] = (gain + kernel @ values[t + 1]) * ~model.terminal
    return values
