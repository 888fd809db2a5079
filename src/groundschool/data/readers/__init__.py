"""Readers, one format a file: each turns a path into a `Source`."""
