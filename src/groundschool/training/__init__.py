"""Training: the compiled loop, populations, checkpoints, devices."""

from groundschool.training.train import check, snapshots, train, train_population

__all__ = ["check", "snapshots", "train", "train_population"]
