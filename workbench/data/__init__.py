"""Layer 1: recorded and sample rows in a lake, joined into what was known at each bar's close."""
