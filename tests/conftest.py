"""Array shapes written in annotations are checked while testing."""

from jaxtyping import install_import_hook

install_import_hook(["groundschool.algorithms", "groundschool.training"], "beartype.beartype")
