"""What speaks for and against an estimate, one look a file."""
