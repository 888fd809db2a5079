"""Training: the compiled loop, populations, checkpoints, devices."""

from groundschool.training.train import snapshots, train, train_population

__all__ = ["snapshots", "train", "train_population"]
