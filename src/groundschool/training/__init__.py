"""Training: the compiled loop, populations, checkpoints, devices."""

from groundschool.training.train import train, train_population

__all__ = ["train", "train_population"]
