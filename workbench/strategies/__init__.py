"""Layer 2: independent voters, each in its regime; they meet in vote.combine alone."""
