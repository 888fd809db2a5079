"""Array shapes written in annotations are checked while testing."""

import pytest
from jaxtyping import install_import_hook

# not training.train: what users call refuses wrong types with a sentence
MODULES = ["groundschool.algorithms", "groundschool.training.data", "groundschool.training.loop"]
install_import_hook(MODULES, "beartype.beartype")


def pytest_configure(config: pytest.Config) -> None:
    """Let a machine with a graphics card and a JAX for the CPU run the tests."""
    config.addinivalue_line("filterwarnings", "ignore:a GPU is present:UserWarning")
