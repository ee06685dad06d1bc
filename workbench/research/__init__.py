"""Years at once: the compiled replay, its upper half, and what a run was worth."""
