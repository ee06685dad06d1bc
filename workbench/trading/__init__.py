"""The desk over time: the paper run, its control, its record, its gate, its week, its schedule."""
