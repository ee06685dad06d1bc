"""Layer 4: the rule book; the last word on every entry."""
