"""Bounds on means from independent values: arrays in, numbers out."""
