"""Policies: the protocol, and tabular, network and third-party ones."""

from groundschool.policies.network import NetworkPolicy
from groundschool.policies.policy import DiscretePolicy, GreedyPolicy, Policy, apply_masks, sample_actions
from groundschool.policies.record import TrainingRecord
from groundschool.policies.store import load
from groundschool.policies.tabular import TabularPolicy
from groundschool.policies.third_party import wrap

__all__ = [
    "DiscretePolicy",
    "GreedyPolicy",
    "NetworkPolicy",
    "Policy",
    "TabularPolicy",
    "TrainingRecord",
    "apply_masks",
    "load",
    "sample_actions",
    "wrap",
]
