"""Learners: one a file, pure functions. Importing the package does not import JAX; ``registry`` does."""

from groundschool.algorithms.config import CONFIGS, AlgorithmConfig, BCConfig, CQLConfig, configure

__all__ = ["CONFIGS", "AlgorithmConfig", "BCConfig", "CQLConfig", "configure"]
