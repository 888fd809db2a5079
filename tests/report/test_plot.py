"""Each figure draws the numbers it was given."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.policies import TabularPolicy
from groundschool.report import maps, outcomes, plot
from groundschool.report.style import looks


def log_of(observations, actions=None, rewards=None, **more):
    n = len(observations)
    end = np.arange(n) == n - 1
    actions = np.zeros(n, dtype=np.int64) if actions is None else actions
    rewards = np.ones(n) if rewards is None else rewards
    return Dataset.from_arrays(observations, actions, rewards, end, np.zeros(n, dtype=bool), n_actions=4, **more)


RNG = np.random.default_rng(0)
MAP = SimpleNamespace(size=3, start=(0, 0), goal=(2, 2), hazards=((1, 1),))
CELLS = np.array([[0, 0], [1, 0], [1, 0], [2, 0]], dtype=np.float32)
FINAL = np.array([[2, 1]], dtype=np.float32)


def test_cell_visits_are_counted_by_hand():
    log = log_of(CELLS, final_observations=FINAL)
    assert maps.cell_visits(log, maps.as_map(MAP)).tolist() == [[1, 2, 1], [0, 0, 1], [0, 0, 0]]
    assert maps.cell_visits(log, maps.as_map(MAP), arrivals=False).tolist() == [[1, 2, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    "observations",
    [
        CELLS,
        RNG.normal(size=(300, 2)).astype(np.float32),
        RNG.normal(size=(300, 5)),
        RNG.normal(size=(300, 12)),
        RNG.normal(size=(50, 2, 3)),
        RNG.integers(0, 30, 300),
        np.where(RNG.random((300, 3)) < 0.1, np.nan, RNG.normal(size=(300, 3))),
        np.zeros((1, 2)),
    ],
    ids=["cells", "pairs", "five", "twelve", "images", "ids", "nan", "one row"],
)
def test_visitation_says_something_about_any_log(observations, tmp_path):
    figure = plot.visitation(log_of(observations))
    assert figure.get_suptitle().startswith("Where has the log been?")
    for axes in figure.axes:
        assert not axes.get_visible() or axes.get_xlabel() or axes.get_ylabel()
    figure.savefig(tmp_path / "figure.png", dpi=40)


@pytest.mark.parametrize(
    "grid",
    [MAP, SimpleNamespace(layout=MAP), SimpleNamespace(unwrapped=SimpleNamespace(layout=MAP))],
    ids=["layout", "environment", "wrapped"],
)
def test_a_grid_is_whatever_has_its_attributes(grid):
    assert maps.as_map(grid) == maps.Map(3, 3, (0, 0), (2, 2), ((1, 1),))


class Cells(TabularPolicy):
    """A table by cell of a 3 x 3 grid, row 3 y + x."""

    def probabilities(self, observations, *, masks=None):
        x, y = np.asarray(observations).astype(int).T
        return super().probabilities(3 * y + x)


TABLE = np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3, 0]]


def test_arrows_are_the_most_probable_actions():
    softer = Cells(0.2 * 0.25 + 0.8 * TABLE, name="soft")
    table = maps.arrows(softer, maps.as_map(MAP))
    assert table[..., 0].tolist() == [[0, 1, 2], [3, 0, 1], [2, 3, 0]]
    np.testing.assert_allclose(table[..., 1], 0.85)


def test_two_policies_share_one_scale_and_unseen_cells_are_marked():
    log = log_of(CELLS, final_observations=FINAL)
    figure = plot.policy_map([Cells(TABLE, name="a"), Cells(TABLE, name="b")], log, MAP)
    left, right = figure.axes[:2]
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == ("a", "b")
    assert left.collections[0].norm.vmax == right.collections[0].norm.vmax
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    hatched = {(round(p.get_x() + 0.5), round(p.get_y() + 0.5)) for p in left.patches if p.get_hatch()}
    assert hatched == {(0, 1), (2, 1), (0, 2), (1, 2)}


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot.policy_map(Cells(TABLE), log_of(RNG.normal(size=(9, 5)))), r"shape \(9, 5\).*pairs \(x, y\)"),
        (lambda: plot.policy_map(Cells(TABLE), log_of(CELLS + 5), MAP), "3 x 3 grid"),
        (lambda: plot.policy_map(TabularPolicy(np.eye(3), name="three"), log_of(CELLS), MAP), "'three': it has 3"),
        (lambda: plot.visitation(log_of(RNG.normal(size=(9, 2))), MAP), "not cells of a 3 x 3 grid"),
        (lambda: plot.visitation(log_of(CELLS), SimpleNamespace(size=3, start=(0, 0))), "no goal, hazards"),
        (lambda: plot.rates([]), "no rollout"),
        (lambda: plot.training_curves([]), "no record"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_in_a_sentence(draw, words):
    with pytest.raises(InputError, match=words):
        draw()


def test_rewards_are_counted_by_value():
    log = log_of(np.zeros((6, 2)), rewards=np.array([-1, -1, -1, -1, -100, 50.0]))
    values, counts = outcomes.reward_counts(log)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {-100: 1, -1: 4, 50: 1}
    axes = plot.rewards(log).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["−100", "−1", "+50"]
    assert [bar.get_height() for bar in axes.patches] == [1, 4, 1]
    assert axes.get_yscale() == "log"


def test_many_rewards_become_a_histogram():
    log = log_of(np.zeros((500, 2)), rewards=RNG.normal(size=500))
    left, counts = outcomes.reward_counts(log)
    assert len(left) == 40
    assert counts.sum() == 500
    plot.rewards(log)


def spans(axes):
    return [tuple(path.vertices[:, 0]) for lines in axes.collections for path in lines.get_paths() if len(path) == 2]


def test_returns_draw_estimate_interval_spread_and_exact_value(data):
    policy = data.policies[1]
    mean, std = policy.rollout.return_, policy.rollout.return_std
    axes = plot.returns([policy.rollout], {policy.rollout.name: policy.exact}).axes[0]
    assert (mean.lower, mean.upper) in spans(axes)
    assert (mean.value - std, mean.value + std) in spans(axes)
    points = {line.get_xdata()[0] for line in axes.lines}
    assert {mean.value, policy.exact.return_} <= points
    assert "reward units" in axes.get_xlabel()
    assert "95 % intervals" in axes.get_xlabel()


def test_rates_draw_clopper_pearson_and_exact_marks_in_percent(data):
    policy = data.policies[1]
    hazard = policy.rollout.probabilities["hazard"]
    figure = plot.rates([policy.rollout], {"optimum": data.policies[-1].exact})
    axes = next(a for a in figure.axes if a.get_title(loc="left") == "hazard")
    assert any(np.allclose(span, (100 * hazard.lower, 100 * hazard.upper)) for span in spans(axes))
    points = [line.get_xdata()[0] for line in axes.lines]
    assert np.isclose(points, 100 * hazard.value).any()
    assert np.isclose(points, 100 * data.policies[-1].exact.probabilities["hazard"]).any()
    assert "(%)" in figure.axes[-1].get_xlabel()


def test_an_unbounded_interval_is_no_bar(data):
    rollout = data.policies[1].rollout
    mean = replace(rollout.return_, lower=-np.inf, upper=np.inf)
    axes = plot.returns([replace(rollout, return_=mean)]).axes[0]
    assert np.isfinite(np.array(spans(axes))).all()
    assert np.isfinite(axes.get_xlim()).all()


def test_sorted_returns_are_sorted_on_one_scale(data):
    rollouts = [policy.rollout for policy in data.policies[:3]]
    axes = plot.sorted_returns(rollouts, names=["a", "b", "c"]).axes[0]
    for line, rollout in zip(axes.lines, rollouts, strict=False):
        assert line.get_ydata().tolist() == sorted(rollout.returns.tolist())
        assert 0 < line.get_xdata()[0] < line.get_xdata()[-1] < 100


def test_mismatch_floors_are_lines_at_their_values(data):
    mismatch = data.policies[1].mismatch
    axes = plot.mismatch_bars({"BC": mismatch}).axes[0]
    verticals = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    for floor in (mismatch.logger_floor, mismatch.deterministic_floor):
        assert np.isclose(verticals, 100 * floor).any()
    assert np.isclose(axes.patches[0].get_width(), 100 * mismatch.value)


@pytest.mark.parametrize("change", [{"standard_error": np.inf}, {"logger_floor": None, "deterministic_floor": None}])
def test_what_is_unknown_of_a_mismatch_is_left_out(data, change, tmp_path):
    figure = plot.mismatch_bars({"BC": replace(data.policies[1].mismatch, **change)})
    figure.savefig(tmp_path / "figure.png", dpi=40)


def test_training_curves_are_one_panel_per_metric(data):
    record = data.policies[3].training
    figure = plot.training_curves([record])
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert titles == ["cql: loss", "cql: td", "cql: conservative gap"]
    assert figure.axes[1].lines[0].get_ydata().tolist() == record.curves["td"]


def test_a_policy_looks_the_same_everywhere_and_unlike_any_other():
    names = ["logger ε=0.22", "BC", "CQL", "optimum"]
    colors = {"CQL": 3}
    assert looks(names, colors)["CQL"] == looks(["CQL"], colors)["CQL"]
    assert looks(names)["logger ε=0.22"].color == looks(["Logger"])["Logger"].color
    for attribute in ("color", "marker", "line", "hatch"):
        assert len({getattr(look, attribute) for look in looks(names, colors).values()}) == len(names)


def test_two_rollouts_of_one_name_are_refused(data):
    with pytest.raises(InputError, match="name of its own"):
        plot.returns([data.policies[1].rollout] * 2)


def test_settings_of_matplotlib_stay_as_they_were(data):
    before = dict(matplotlib.rcParams)
    figure = plot.returns([data.policies[1].rollout])
    assert isinstance(figure, Figure)
    assert dict(matplotlib.rcParams) == before


def test_no_pyplot_and_no_jax_is_imported():
    heavy = "[m for m in ('matplotlib.pyplot', 'jax') if m in sys.modules]"
    code = f"import sys, groundschool as gs; gs.plot.returns; print({heavy})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
