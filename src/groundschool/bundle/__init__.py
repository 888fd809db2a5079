"""The on-disk form of what ships: tensors and JSON, never code."""

from groundschool.bundle.format import is_bundle, read, require_free, write

__all__ = ["is_bundle", "read", "require_free", "write"]
