"""The panel as a person meets it: real processes, a real browser."""
