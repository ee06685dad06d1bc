"""Layer 3: whoever sees a case and may take risk away, never add any."""
