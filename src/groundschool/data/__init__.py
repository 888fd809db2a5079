"""Logs: the Dataset, its transitions, its splits and its storage."""

from groundschool.data.columns import Columns
from groundschool.data.convert import Converted, convert
from groundschool.data.dataset import Dataset, Episode
from groundschool.data.features import Feature
from groundschool.data.read import read
from groundschool.data.split import Split, split
from groundschool.data.transitions import Transitions

__all__ = [
    "Columns",
    "Converted",
    "Dataset",
    "Episode",
    "Feature",
    "Split",
    "Transitions",
    "convert",
    "read",
    "split",
]
