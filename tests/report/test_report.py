"""The page: made of its JSON, complete, escaped, self-contained."""

import base64
import html.parser
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from conftest import study
from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.intervals import mean_t
from groundschool.report.build import build, compose, render
from groundschool.report.export import export
from groundschool.report.facts import LogFacts, ReportData

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "BC & {{ 7*7 }} $x_{$ ü")
VOID = {"meta", "img", "br", "wbr", "path", "link", "hr"}


@pytest.fixture(scope="module")
def report(data):
    return compose(data)


class Page(html.parser.HTMLParser):
    """Collects visible text, attributes and headings, and fails on tags that do not nest."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.tags, self.headings = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text.append(" ")

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.text.append(data)

    @property
    def words(self):
        return "".join(self.text)


def leaves(value, skip=frozenset({"data", "curves", "returns", "lengths", "ends_by_episode", "table"})):
    """Numbers and strings of the JSON, without the long series that no reader is shown as text."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() if key not in skip for leaf in [key, *leaves(item)]]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [] if value is None or isinstance(value, bool) else [value]


def unexplained(page, facts):
    """Numbers in the page's text that no number of the JSON rounds to (as such, in %, in ms or in minutes)."""
    # Texts are shown verbatim; sentences made from numbers are checked like every other text.
    made = {"reading", "figures"}
    given = leaves({key: value for key, value in facts.items() if key not in made})
    strings = {leaf for leaf in given if isinstance(leaf, str) and re.search(r"\d", leaf)}
    strings |= {facts["created"].replace("T", " ")}
    strings |= {figure["caption"] for figure in facts["figures"]}
    text = Page(page).words
    for string in sorted(strings, key=len, reverse=True):
        text = text.replace(string, " ")
    text = re.sub(r"[A-Za-z_]\w*(\[\d+\])?\.[\w.]+", " ", text)
    numbers = np.array([leaf for leaf in given if isinstance(leaf, int | float)], dtype=float)
    missing = []
    for sign, token in re.findall(r"([<>] )?(−?\d[\d,]*(?:\.\d+)?(?:e−?\d+)?)", text):
        plain = token.replace(",", "").replace("−", "-")
        shown, decimals = float(plain), len(plain.split("e")[0].partition(".")[2])
        half = 0.5000001 * 10.0**-decimals * (10.0 ** float(plain.split("e")[1]) if "e" in plain else 1)
        if sign == "< ":
            found = ((numbers > 0) & (100 * numbers < shown)).any()
        elif sign == "> ":
            found = ((numbers < 1) & (100 * numbers > shown)).any()
        else:
            found = any((abs(scale * numbers - shown) <= half).any() for scale in (1, 100, 1000, 1 / 60))
        if not found:
            missing.append(token)
    return missing


def test_the_page_is_rendered_from_the_json_alone(report):
    again = json.loads(json.dumps(report.json, allow_nan=False))
    pattern = r'id="figure-(\w+)">\s*<div class="scroll"><img src="data:image/svg\+xml;base64,([^"]+)"'
    images = {name: base64.b64decode(image).decode() for name, image in re.findall(pattern, report.html)}
    assert set(images) == {drawing.name for drawing in report.drawings}
    assert render(again, images) == report.html


def test_every_number_on_the_page_is_in_the_json(report):
    assert unexplained(report.html, report.json) == []


@pytest.mark.parametrize("wrong", ["777.77", "98.7654 %", "−3.14159"])
def test_a_number_from_elsewhere_would_be_noticed(report, wrong):
    page = report.html.replace("</main>", f"<p>{wrong}</p></main>")
    assert unexplained(page, report.json) == [wrong.removesuffix(" %")]


def test_what_a_reviewer_looks_for_is_there(report, data):
    text = Page(report.html).words
    cql = data.policies[3]
    for words in (
        data.question, data.command, data.log.behavior, "No verdict.", "separate online phase", data.device,
        data.environment, data.log.dataset.fingerprint, "Logger against itself", "Best deterministic", cql.encoding,
        data.policies[0].name, f"{cql.exact.return_:.2f}", data.diagnosed_on, data.notes[0], data.log.notes[0],
    ):  # fmt: skip
        assert words in text
    for name in [
        "visitation",
        "rewards",
        "returns",
        "rates",
        "sorted_returns",
        "policy_map",
        "mismatch",
        "calibration",
        "training",
    ]:
        assert f'id="figure-{name}"' in report.html


def test_the_json_holds_the_facts_at_full_precision(report, data):
    facts = {policy["name"]: policy for policy in report.json["policies"]}
    for policy in data.policies:
        if policy.rollout is not None:
            assert facts[policy.name]["rollout"]["return"]["lower"] == policy.rollout.return_.lower
            assert facts[policy.name]["rollout"]["returns"] == policy.rollout.returns.tolist()
        if policy.exact is not None:
            assert facts[policy.name]["exact"]["probabilities"]["hazard"] == policy.exact.probabilities["hazard"]
    assert facts["CQL"]["training"]["curves"]["td"] == data.policies[3].training.curves["td"]
    assert report.json["online_episodes"] == sum(p.rollout.episodes for p in data.policies if p.rollout is not None)
    assert report.json["verdict"] is None


def test_single_records_stay_out(report, data):
    text = json.dumps(report.json) + report.html
    for identity in (*data.log.dataset.episode_hashes[:5].tolist(), data.policies[1].training.episode_hashes[7]):
        assert identity not in text
    assert report.json["policies"][1]["training"]["episodes"] == 300


def test_the_page_loads_nothing_and_runs_nothing(report):
    page = Page(report.html)
    assert len(report.html) < 3_000_000
    assert "script" not in {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/svg+xml;base64,")), (tag, attributes)
    assert not re.search(r"url\(|@import", report.html)


def test_headings_images_and_links_are_in_order(report):
    page = Page(report.html)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    links = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    labels = {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes}
    assert len(links) >= 6
    assert links | labels <= set(identities)
    assert all(len(attributes["alt"]) > 40 for tag, attributes in page.tags if tag == "img")


def test_hostile_labels_are_words(data):
    hostile = study(episodes=30, rollouts=5, names=HOSTILE)
    config = {HOSTILE[0]: HOSTILE[1]}
    log = replace(hostile.log, behavior=HOSTILE[0], action_names=HOSTILE)
    hostile = replace(hostile, title=HOSTILE[0], command=HOSTILE[1], config=config, log=log, versions=config)
    page, _ = build(hostile)
    tags = {tag for tag, _ in Page(page).tags}
    assert "script" not in tags
    assert "onerror=alert(1)>" not in page
    assert all(name in Page(page).words for name in HOSTILE)


def bare():
    """A log of continuous actions, no environment, no policy."""
    rng = np.random.default_rng(0)
    end = np.arange(60) % 6 == 5
    observations, actions = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    log = Dataset.from_arrays(observations, actions, rng.normal(size=60), end, np.zeros(60, dtype=bool))
    spread, length = float(log.returns.std(ddof=1)), float(log.lengths.mean())
    facts = LogFacts(log, "Unknown.", mean_t(log.returns), spread, length, dropped_transitions=3)
    return ReportData("Bare", "2025-01-01", "gs.run(...)", facts, (), {"read": 0.2}, {}, {}, "cpu", 1)


def test_a_study_without_policies_still_has_its_page():
    page, facts = build(bare())
    text = Page(page).words
    assert "No rollouts were run" in text
    assert "continuous" in text
    assert [figure["name"] for figure in facts["figures"]] == ["visitation", "rewards"]
    assert unexplained(page, facts) == []


def test_infinite_and_undefined_numbers_are_null_and_said(data):
    policy = data.policies[1]
    mean = replace(policy.rollout.return_, lower=-np.inf, upper=np.inf)
    odd = replace(policy, rollout=replace(policy.rollout, return_=mean, return_std=float("nan")))
    page, facts = build(replace(data, policies=(odd,)))
    json.dumps(facts, allow_nan=False)
    assert facts["policies"][0]["rollout"]["return"]["lower"] is None
    assert "[−∞, ∞]" in page


def test_two_policies_of_one_name_are_refused(data):
    with pytest.raises(InputError, match="not unique"):
        replace(data, policies=data.policies[1:2] * 2)


def test_export_writes_page_numbers_and_figures(data, report, tmp_path):
    (tmp_path / "report.html").write_text("old")
    path = export(data, tmp_path, dpi=40)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == report.html
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report.json
    files = {file["file"] for file in report.json["figures"]}
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == files | {
        "report.html",
        "report.json",
    }
    for file in files:
        assert (tmp_path / file).read_bytes().startswith(b"\x89PNG")


def test_what_does_not_fit_writes_nothing(data, tmp_path):
    small = SimpleNamespace(size=3, start=(0, 0), goal=(2, 2), hazards=())
    with pytest.raises(InputError, match="3 x 3 grid"):
        export(replace(data, grid=small), tmp_path / "run")
    assert not (tmp_path / "run").exists()
