"""A small environment for campaigns: every fault that one may have, on request."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from groundschool.policies import TabularPolicy

POLICY = TabularPolicy(np.array([[0.5, 0.5], [0.3, 0.7], [0.9, 0.1]]), name="careful")


class Ward(gym.Env):
    """Three steps an episode, reward 1 for action 1; in one of them, perhaps, harm.

    Parameters
    ----------
    p : float
        The probability of harm in an episode.
    cut : float
        The probability that an episode is cut after its first step.
    says : callable from harm (0.0 or 1.0) to what ``info`` holds, given in every step
    on_step : callable from the number of steps taken so far, all episodes together
    """

    observation_space = gym.spaces.Discrete(3)
    action_space = gym.spaces.Discrete(2)
    horizon = 3

    def __init__(self, p=0.0, *, cut=0.0, says=lambda harm: {"cost": harm}, on_step=lambda total: None):
        self.p, self.cut, self.says, self.on_step = p, cut, says, on_step
        self.total, self.episodes = 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.episodes = 0, self.episodes + 1
        self.harm_at = int(self.np_random.integers(3)) if self.np_random.random() < self.p else -1
        self.cut_here = self.np_random.random() < self.cut
        return 0, {}

    def step(self, action):
        self.total += 1
        self.on_step(self.total)
        harm = float(self.at == self.harm_at)
        self.at += 1
        return self.at % 3, float(action), self.at == 3, self.cut_here, self.says(harm)
