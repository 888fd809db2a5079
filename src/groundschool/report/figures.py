"""Which figures a report has, with their captions, alternative texts and the numbers behind them."""

from __future__ import annotations

from typing import Any, NamedTuple

from matplotlib.figure import Figure

from groundschool.report import coverage_figure, evaluation_drawings, learning, maps, outcomes
from groundschool.report.data_section import coverage_alt, named_coverage
from groundschool.report.facts import ReportData
from groundschool.report.words import number, percent


class Drawing(NamedTuple):
    """A figure of the report.

    Parameters
    ----------
    name
        Of the file, without ending.
    section
        Where on the page: ``log``, ``checked``, ``offline``, ``offline-`` and the place of a policy, ``rollouts``,
        ``map``, ``diagnostics`` or ``training``.
    title
        The question it answers.
    alt
        What it shows, for readers who do not see it.
    caption
        How to read it.
    data
        The numbers drawn that are not elsewhere in the report, JSON-ready.
    figure
        The figure.
    """

    name: str
    section: str
    title: str
    alt: str
    caption: str
    data: dict[str, Any]
    figure: Figure


def draw(data: ReportData) -> list[Drawing]:
    """Draw every figure the facts allow, in the order of the page."""
    made = [
        _visitation(data),
        _rewards(data),
        _coverage(data),
        *_offline(data),
        *_rollouts(data),
        *_map(data),
        *_diagnostics(data),
        *_training(data),
    ]
    return [drawing for drawing in made if drawing is not None]


def _drawing(name: str, section: str, figure: Figure, alt: str, caption: str, **data: Any) -> Drawing:
    title = " ".join((figure.get_suptitle() or name).split())
    return Drawing(name, section, title, alt, caption, data, figure)


def _visitation(data: ReportData) -> Drawing:
    log = data.log.dataset
    place = None if data.grid is None else maps.as_map(data.grid)
    counts = maps.cell_visits(log, place)
    figure = maps.visitation(log, data.grid)
    if counts is None:
        return _drawing(
            "visitation", "log", figure, "Histograms of the logged observations.", "Counts are on a log scale."
        )
    seen, cells = int((counts > 0).sum()), counts.size
    alt = (
        f"Map of {counts.shape[1]} by {counts.shape[0]} cells; the log visited {seen} of them, "
        f"the most visited {number(int(counts.max()))} times."
    )
    caption = (
        "Darker cells were visited more often, on a log scale; hatched cells never. "
        "The last arrival of each episode is counted, so hazards and the goal show how many episodes ended there."
    )
    return _drawing(
        "visitation", "log", figure, alt, caption, visits=counts.tolist(), cells_seen=seen, cells=int(cells),
        width=counts.shape[1], height=counts.shape[0], most=int(counts.max()),
    )  # fmt: skip


def _rewards(data: ReportData) -> Drawing:
    values, counts = outcomes.reward_counts(data.log.dataset)
    figure = outcomes.rewards(data.log.dataset)
    few = len(values) <= 12
    listed = "; ".join(f"{value:+g}: {number(int(count))} steps" for value, count in zip(values, counts, strict=True))
    alt = f"Bars of logged rewards, counts on a log scale. {listed if few else ''}".strip()
    caption = "Rewards per step. The scale is logarithmic: the rare, large rewards decide what a policy is worth."
    return _drawing(
        "rewards", "log", figure, alt, caption, kind="values" if few else "left edges of bins",
        values=values.tolist(), counts=counts.tolist(),
    )  # fmt: skip


def _coverage(data: ReportData) -> Drawing | None:
    found = named_coverage(data.log)
    if found is None:
        return None
    caption = (
        "One column a place, one row an action; darker is more often, on a log scale, and hatched is never. "
        "Places that were never visited have no column."
    )
    return _drawing("coverage", "checked", coverage_figure.coverage(found), coverage_alt(found), caption)


def _offline(data: ReportData) -> list[Drawing]:
    return [
        _drawing(name, section, figure, alt, caption)
        for name, section, figure, alt, caption in evaluation_drawings.drawings(data)
    ]


def _rollouts(data: ReportData) -> list[Drawing]:
    rolled = [(policy, policy.rollout) for policy in data.policies if policy.rollout is not None]
    exact = {policy.name: policy.exact for policy in data.policies if policy.exact is not None}
    colors = {policy.name: policy.color for policy in data.policies}
    rollouts, names = [rollout for _, rollout in rolled], [policy.name for policy, _ in rolled]
    made: list[Drawing] = []
    if rollouts or exact:
        figure = outcomes.returns(rollouts, exact, colors=colors, names=names)
        caption = (
            "Points are means of rollouts, thick bars their intervals, thin bars one standard deviation of episodes"
        )
        caption += "; diamonds are exact values in the model." if exact else "."
        alt = "Mean return of each policy with its interval and spread; the numbers are in the table of policies."
        made.append(_drawing("returns", "rollouts", figure, alt, caption))
    if rollouts:
        figure = outcomes.sorted_returns(rollouts, colors=colors, names=names)
        worst = "; ".join(
            f"{name} {number(float(r.returns.min()), 1)}" for name, r in zip(names, rollouts, strict=True)
        )
        lowest = {name: float(r.returns.min()) for name, r in zip(names, rollouts, strict=True)}
        alt = f"Sorted episode returns of every policy on one scale. Worst episode: {worst}."
        caption = (
            "Every episode is a point on its policy's line. The left end holds the bad episodes that a mean hides."
        )
        made.append(_drawing("sorted_returns", "rollouts", figure, alt, caption, worst=lowest))
    if rollouts or exact:
        figure = outcomes.rates(rollouts, exact, colors=colors, names=names)
        caption = "Clopper–Pearson intervals: with no event seen, the upper end is still above zero"
        caption += "; diamonds are exact probabilities in the model." if exact else "."
        alt = "Share of episodes with each cost and each end, by policy; the numbers are in the table of policies."
        made.append(_drawing("rates", "rollouts", figure, alt, caption))
    return made


def _map(data: ReportData) -> list[Drawing]:
    place = None if data.grid is None else maps.as_map(data.grid)
    shown = [(policy.name, policy.policy) for policy in data.policies if policy.mapped and policy.policy is not None]
    counts = maps.cell_visits(data.log.dataset, place, arrivals=False)
    if place is None or counts is None or not shown or any(p.n_actions != len(maps.DIRECTIONS) for _, p in shown):
        return []
    figure = maps.policy_map([policy for _, policy in shown], data.log.dataset, data.grid, names=[n for n, _ in shown])
    tables = {name: maps.arrows(policy, place) for name, policy in shown}
    deciding = counts.size - len({place.goal, *place.hazards})
    unseen = len(maps.unseen(counts, place, policy=True))
    alt = (
        f"Arrows of the most probable action in every cell for {' and '.join(name for name, _ in shown)}, over the "
        f"decisions logged there. The log never decided in {unseen} of {deciding} cells."
    )
    caption = (
        "Each arrow is the policy's most probable action, longer where it is more probable. Hatched cells with hollow "
        "arrows: the log never decided there, so the action is extrapolation."
    )
    return [
        _drawing(
            "policy_map", "map", figure, alt, caption, decisions=counts.tolist(), cells_unseen=unseen,
            cells_to_decide=deciding,
            actions={name: table[..., 0].astype(int).tolist() for name, table in tables.items()},
            probabilities={name: table[..., 1].tolist() for name, table in tables.items()},
        )
    ]  # fmt: skip


def _diagnostics(data: ReportData) -> list[Drawing]:
    colors = {policy.name: policy.color for policy in data.policies}
    made: list[Drawing] = []
    if mismatches := {policy.name: policy.mismatch for policy in data.policies if policy.mismatch is not None}:
        listed = "; ".join(f"{name} {percent(mismatch.value, 1)}" for name, mismatch in mismatches.items())
        caption = (
            "A noisy logger disagrees with itself: a perfect clone that samples scores the first line, the best "
            "policy without chance the second. Only the distance from a line says anything."
        )
        figure = learning.mismatch_bars(mismatches, colors=colors)
        made.append(_drawing("mismatch", "diagnostics", figure, f"Mismatch with the log: {listed}.", caption))
    if calibrations := {policy.name: policy.calibration for policy in data.policies if policy.calibration is not None}:
        figure = learning.calibration_curve(calibrations, colors=colors)
        alt = "Observed frequency of actions against predicted probability, with the diagonal of perfect calibration."
        caption = "On the diagonal, predicted and logged shares agree. Bars: one standard error of independent steps."
        made.append(_drawing("calibration", "diagnostics", figure, alt, caption))
    return made


def _training(data: ReportData) -> list[Drawing]:
    records = {policy.name: policy.training for policy in data.policies if policy.training is not None}
    records = {name: record for name, record in records.items() if any(k != "step" for k in record.curves)}
    # A greedy readout carries the record of the run that it reads: one run is drawn once.
    runs = {id(record): name for name, record in reversed(records.items())}
    once = {name: record for name, record in records.items() if runs[id(record)] == name}
    if not once:
        return []
    figure = learning.training_curves(once, colors={policy.name: policy.color for policy in data.policies})
    alt = f"Training metrics over the steps for {' and '.join(once)}; the values are in report.json."
    caption = "The last value of every metric is in the table below; a falling loss says nothing about danger."
    return [_drawing("training", "training", figure, alt, caption)]
