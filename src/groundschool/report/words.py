"""Numbers as a reader meets them: rounded to what the interval supports, with unit and interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

UNKNOWN = "–"
_THIN = "\u202f"
_TINY = 1e-6


def number(value: float | None, decimals: int | None = None) -> str:
    """Return a number with thousands separators; without ``decimals``, as many as its size deserves."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int) and decimals is None:
        return f"{value:,}".replace("-", "−")
    if decimals is None:
        size = abs(value)
        decimals = 0 if size == 0 else 1 if size >= 100 else 2 if size >= 0.1 else 1 - math.floor(math.log10(size))
    if decimals > 6:
        return f"{value:.2g}".replace("-", "−")
    text = f"{value:,.{decimals}f}"
    return "−" + text[1:] if text.startswith("-") and text.strip("-0.,") else text.lstrip("-")


def percent(value: float | None, decimals: int | None = None) -> str:
    """Return a share of one as a percentage; without ``decimals``, rare and nearly certain events keep two digits."""
    if value is None:
        return UNKNOWN
    if decimals is None and 0.0 < value < _TINY:
        return f"< {_percent(_TINY, 4)}{_THIN}%"
    if decimals is None and 0.0 < 1.0 - value < _TINY:
        return f"> {_percent(1.0 - _TINY, 4)}{_THIN}%"
    return f"{_percent(value, decimals)}{_THIN}%"


def estimate(interval: Mapping[str, Any] | None) -> str:
    """Return ``21.24 [20.93, 21.55]`` for an interval's JSON, decimals by its width."""
    if interval is None:
        return UNKNOWN
    decimals = _decimals(interval, 1.0)
    return f"{number(interval['value'], decimals)} {_bounds(interval, 1.0, decimals)}"


def rounded(value: float | None, interval: Mapping[str, Any]) -> str:
    """Return a number with the decimals that an interval around it deserves."""
    return UNKNOWN if value is None else number(value, _decimals(interval, 1.0))


def rate(interval: Mapping[str, Any] | None) -> str:
    """Return ``0.0 % [0.0, 1.8]`` for an interval's JSON on a probability."""
    if interval is None:
        return UNKNOWN
    decimals = _decimals(interval, 100.0)
    return f"{_percent(interval['value'], decimals)}{_THIN}% {_bounds(interval, 100.0, decimals)}"


def seconds(value: float) -> str:
    """Return a duration: milliseconds, seconds or minutes, whichever reads best."""
    if value < 0.1:
        return f"{1000 * value:.1f} ms"
    return f"{value:.1f} s" if value < 600 else f"{value / 60:.1f} min"


def breakable(text: str) -> Markup:
    """Escape a long identifier and allow line breaks after its punctuation."""
    safe = str(Markup.escape(text))
    for mark in ("/", "_", ".", "="):
        safe = safe.replace(mark, f"{mark}<wbr>")
    return Markup(safe)


def flat(nested: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return a nested configuration as rows of dotted key and value."""
    if isinstance(nested, Mapping) and nested:
        return [row for key, value in nested.items() for row in flat(value, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(nested, list) and any(isinstance(item, Mapping) for item in nested):
        return [row for i, item in enumerate(nested) for row in flat(item, f"{prefix}[{i}]")]
    if nested is None:
        return [(prefix, "not set")]
    if isinstance(nested, bool):
        return [(prefix, "yes" if nested else "no")]
    if isinstance(nested, list):
        return [(prefix, ", ".join(str(item) for item in nested) or "none")]
    return [(prefix, str(nested) if nested != {} else "none")]


def without(ends: Mapping[str, Any], costs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ends that do not repeat a cost of the same name and numbers."""
    return {name: interval for name, interval in ends.items() if costs.get(name) != interval}


def option(config: Any, key: str) -> str:
    """Return one option of a nested configuration by its dotted key."""
    return dict(flat(config)).get(key, UNKNOWN)


def option_names(policies: list[Mapping[str, Any]]) -> list[str]:
    """Return the dotted keys of the options of several training runs, each once."""
    return list(dict.fromkeys(key for policy in policies for key, _ in flat(policy["training"]["config"])))


def _percent(value: float, decimals: int | None) -> str:
    if decimals is None:
        rare = min(abs(value), abs(1.0 - value))
        decimals = 1 if rare == 0 or rare >= 0.001 else 1 - math.floor(math.log10(100.0 * rare))
        decimals = min(decimals, 5)
    return number(100.0 * value, decimals)


def _decimals(interval: Mapping[str, Any], scale: float) -> int:
    lower, upper = interval["lower"], interval["upper"]
    width = scale * (upper - lower) if lower is not None and upper is not None else 0.0
    return min(max(1 - math.floor(math.log10(width)), 1), 5) if width > 0 else 2


def _bounds(interval: Mapping[str, Any], scale: float, decimals: int) -> str:
    def bound(value: float | None, nothing: str) -> str:
        return nothing if value is None else number(scale * value, decimals)

    return f"[{bound(interval['lower'], '−∞')}, {bound(interval['upper'], '∞')}]"


def question(of: str) -> str:
    """Return ``any hazard`` for ``probability:hazard``, ``expected hazard`` for ``cost:hazard``."""
    kind, _, name = of.partition(":")
    return {"probability": f"any {name}", "cost": f"expected {name}"}.get(kind, of)


FILTERS = {
    word.__name__: word
    for word in (
        number, percent, estimate, rounded, rate, seconds, breakable, flat, without, option, option_names, question,
    )
}  # fmt: skip
"""The words a template may use, by name."""
