"""Policies to be judged in each world: like its logger, better, learned, and dangerous.

logger             who wrote the log
milder, sharper    its intent with 1.5 times and .45 times the noise
intent             without any noise
restricted         the optimum among pairs that were logged ten times or more in a separate log of the same size; in a
                   state without any the logger acts
optimum            with the whole horizon to go, restricted by nothing
bc                 counted from a separate log of the same size, smoothed by half a count an action
cql                ``gs.train(log, "cql", steps=3_000)`` on a separate log of 500 episodes, greedy
half-danger        beside a danger that the logger knows, half the time into it; elsewhere the logger
uniform            every allowed action alike
hidden             safe but for one path, or a few states, that the logger barely takes, into a hazard

What is learned is learned from other episodes than those it is judged on. `hidden` exists where a search finds it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ope_worlds import Table, World, one_hot, plan

import groundschool as gs

LIKE_THE_LOGGER = ("logger", "milder", "sharper", "intent")
LEARNED = ("restricted", "bc")  # anew from each separate log
DANGEROUS = ("half-danger", "uniform", "hidden")
TARGETS = (*LIKE_THE_LOGGER, "restricted", "optimum", "bc", "cql", *DANGEROUS)

OFTEN = 10  # logged that often, a pair counts as supported
BARELY = 1.0  # expected times that a log of 500 holds a pair
KNOWN = 0.02  # the logger's probability of a danger that it knows


def fixed(world: World, names: tuple[str, ...] = TARGETS) -> dict[str, Table]:
    """Return the targets that do not depend on a log of their own, by name; (S, A) each."""
    made = {
        "logger": lambda: world.logger,
        "milder": lambda: world.noisy(1.5 * world.epsilon),
        "sharper": lambda: world.noisy(0.45 * world.epsilon),
        "intent": lambda: world.intent,
        "optimum": lambda: plan(world.model, world.masks),
        "cql": lambda: cql(world),
        "half-danger": lambda: half_danger(world),
        "uniform": lambda: world.uniform,
        "hidden": lambda: hidden(world),
    }
    tables = {name: make() for name, make in made.items() if name in names}
    return {name: table for name, table in tables.items() if table is not None}


def learned(world: World, episodes: int, seed: int, names: tuple[str, ...] = LEARNED) -> dict[str, Table]:
    """Return the targets learned from a log of that many episodes and that seed, by name; (S, A) each."""
    wanted = [name for name in LEARNED if name in names]
    if not wanted:
        return {}
    log = world.sampler.log(episodes, seed)
    counts = np.zeros(world.intent.shape)
    np.add.at(counts, (world.states(log.observations), log.actions), 1.0)
    return {name: (restricted if name == "restricted" else cloned)(world, counts) for name in wanted}


def restricted(world: World, counts: Table) -> Table:
    """Return the best policy among pairs logged often; where a state has none of them the logger acts."""
    allowed = counts >= OFTEN
    bare = ~allowed.any(axis=1)
    left_to = np.where(bare[:, None], world.logger, 0.0)
    return np.where(bare[:, None], world.logger, plan(world.model, allowed, fallback=left_to))


def cloned(world: World, counts: Table) -> Table:
    smoothed = (counts + 0.5) * (world.uniform > 0)
    return np.asarray(smoothed / smoothed.sum(axis=1, keepdims=True))


def cql(world: World, episodes: int = 500, seed: int = 900_000) -> Table:
    policy = gs.train(world.sampler.log(episodes, seed), "cql", steps=3_000, seed=0)
    return policy.probabilities(np.asarray(world.model.observations), masks=world.sampler.masks)


def risks(world: World) -> Table:
    """Return the probability of a cost in one step of each state and action, (S, A)."""
    model = world.model
    risk = np.einsum("sao,sao->sa", model.transitions, (model.costs[world.cost] > 0).astype(np.float64))
    return np.asarray(np.where(model.terminal[:, None], 0.0, risk))


def half_danger(world: World) -> Table:
    """Return the logger, half of which goes into a danger wherever one is beside it.

    A danger is an action with at least half the highest risk among those that the logger takes now and then.
    """
    risk = risks(world) * (world.logger >= KNOWN)
    danger = risk >= max(0.5 * risk.max(), 1e-12)
    beside = danger.any(axis=1)
    into = danger / np.maximum(danger.sum(axis=1, keepdims=True), 1)
    return np.where(beside[:, None], 0.5 * world.logger + 0.5 * into, world.logger)


def visits(world: World, table: Table) -> NDArray[np.float64]:
    """Return the expected number of visits of a policy to each state in an episode, (S,)."""
    model = world.model
    kernel = np.einsum("sa,sao->so", table, model.transitions)
    alive, total = model.initial, np.zeros(model.n_states)
    for _ in range(model.horizon):
        total += alive
        alive = (alive @ kernel) * ~model.terminal
    return total


def hidden(world: World, wanted: float = 0.88) -> Table | None:
    """Return a safe policy but for a hazard that the log barely shows; None where there is no such thing.

    Where single actions are traps (risk of .8 or more, hardly ever taken): the intent, falling into the fewest traps
    that bring the risk of an episode above .6. Elsewhere: the optimum, but for one path of at most eight steps into a
    hazard, such that more than half of its episodes take a pair that 500 logged episodes are expected to hold less
    than once; of all such paths that whose risk is nearest to `wanted`.
    """
    risk, logger = risks(world), world.logger
    traps = (risk >= 0.8) & (logger > 0) & (logger < KNOWN)
    return fall_into_traps(world, traps) if traps.any() else stray(world, risk, wanted)


def fall_into_traps(world: World, traps: NDArray[np.bool_]) -> Table | None:
    table, cost = world.intent, world.cost
    while world.model.evaluate(table).probabilities[cost] < 0.6:
        left = traps.any(axis=1) & ~(table * traps).any(axis=1)
        seen = visits(world, table) * left
        if not seen.any():
            break
        state = int(np.argmax(seen))
        table = table.copy()
        table[state] = one_hot(np.argmax(traps[state]), table.shape[1])
    return table if world.model.evaluate(table).probabilities[cost] > 0.4 else None


def stray(world: World, risk: Table, wanted: float) -> Table | None:
    model, cost = world.model, world.cost
    base = plan(model, world.masks)
    toward = plan(model, world.masks, (model.costs[cost] > 0).astype(np.float64)).argmax(axis=1)
    logged = 500 * visits(world, world.logger)[:, None] * world.logger
    found: list[tuple[float, Table]] = []
    for state in np.flatnonzero(visits(world, base) > 0.3):
        for action in np.flatnonzero(world.uniform[state] > 0):
            path = way(world, int(state), int(action), toward, risk)
            if path is None or min(logged[pair] for pair in path) >= BARELY:
                continue
            table = base.copy()
            for s, a in path:
                table[s] = one_hot(a, model.n_actions)
            seen = visits(world, table)
            rare = sum(seen[s] for s, a in path if logged[s, a] < BARELY)
            danger = model.evaluate(table).probabilities[cost]
            if rare > 0.5 and 0.4 < danger < 0.97:
                found.append((abs(danger - wanted), table))
    return min(found, key=lambda one: one[0])[1] if found else None


def way(
    world: World, state: int, action: int, toward: NDArray[np.int64], risk: Table, longest: int = 8
) -> list[tuple[int, int]] | None:
    """Follow the likeliest transitions from a state and an action, then toward a cost; None where that takes long."""
    path = [(state, action)]
    while risk[state, action] < 0.5 * risk.max():
        onward = world.model.transitions[state, action] * ~world.model.terminal
        state = int(onward.argmax())
        action = int(toward[state])
        if len(path) == longest or not onward.any() or state in {s for s, _ in path}:
            return None
        path.append((state, action))
    return path
