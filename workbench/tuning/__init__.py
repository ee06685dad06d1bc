"""What the judge is worth: its cases with their outcomes, and the score of each judge."""
