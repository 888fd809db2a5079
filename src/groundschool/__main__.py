"""``python -m groundschool``."""

from groundschool.cli import main

main()
