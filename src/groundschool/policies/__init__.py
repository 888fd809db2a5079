"""Policies: the protocol, tabular, network and third-party ones, and the guarded composite."""

from groundschool.policies.constant import ConstantPolicy
from groundschool.policies.counted import CountedPolicy
from groundschool.policies.decision import Decision, Reason
from groundschool.policies.guard import Guard
from groundschool.policies.guarded import GuardedPolicy
from groundschool.policies.monitor import Limit, Monitor
from groundschool.policies.network import NetworkPolicy
from groundschool.policies.policy import DiscretePolicy, GreedyPolicy, Policy, apply_masks, sample_actions
from groundschool.policies.record import TrainingRecord
from groundschool.policies.rules import Rule
from groundschool.policies.store import load
from groundschool.policies.tabular import TabularPolicy
from groundschool.policies.third_party import wrap

__all__ = [
    "ConstantPolicy",
    "CountedPolicy",
    "Decision",
    "DiscretePolicy",
    "GreedyPolicy",
    "Guard",
    "GuardedPolicy",
    "Limit",
    "Monitor",
    "NetworkPolicy",
    "Policy",
    "Reason",
    "Rule",
    "TabularPolicy",
    "TrainingRecord",
    "apply_masks",
    "load",
    "sample_actions",
    "wrap",
]
