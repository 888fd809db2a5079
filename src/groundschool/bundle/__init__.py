"""The on-disk form of what ships: tensors and JSON, never code."""

from groundschool.bundle.format import is_bundle, read, write

__all__ = ["is_bundle", "read", "write"]
