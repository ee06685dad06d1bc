"""The stage that judges the judge."""
