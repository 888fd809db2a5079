"""The on-disk form of what ships: tensors, JSON and files to read, never code."""

from groundschool.bundle.format import attachments, is_bundle, read, require_free, write

__all__ = ["attachments", "is_bundle", "read", "require_free", "write"]
