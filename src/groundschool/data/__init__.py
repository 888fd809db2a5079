"""Logs: the Dataset, its transitions, its splits and its storage."""

from groundschool.data.dataset import Dataset, Episode
from groundschool.data.split import Split, split
from groundschool.data.storage import read
from groundschool.data.transitions import Transitions

__all__ = ["Dataset", "Episode", "Split", "Transitions", "read", "split"]
