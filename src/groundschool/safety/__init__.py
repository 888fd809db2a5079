"""From estimates to a decision: constraints, selection."""
