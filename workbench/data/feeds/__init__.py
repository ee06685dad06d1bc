"""Where rows come from: one file a provider, each a `Feed` (feed.py) on a `Line` (line.py)."""
