"""Years at once."""
