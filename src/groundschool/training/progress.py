"""A progress bar on stderr, with the metrics of the last chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from groundschool.training.loop import Chunk

Report = Callable[[Chunk], None]
_SHOWN = {"log_loss": "log-loss", "td": "TD", "conservative_gap": "gap"}


@contextmanager
def progress_bar(label: str, steps: int, *, shown: bool) -> Iterator[Report]:
    """Give a function to call at every chunk end; it draws nothing unless ``shown``."""
    if not shown:
        yield lambda chunk: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[metrics]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=steps, metrics="")

        def report(chunk: Chunk) -> None:
            shown = [
                f"{label} {np.mean(chunk.metrics[name]):.2g}" for name, label in _SHOWN.items() if name in chunk.metrics
            ]
            bar.update(task, completed=chunk.step, metrics="  ".join(shown))

        yield report
