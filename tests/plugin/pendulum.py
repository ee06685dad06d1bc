"""Reversion: a close that stands far off the mean of its last 48 bars comes back to it."""

from workbench import Panel, Votes, strategy


@strategy(category="reversion", regimes={"ranging", "trending"}, lookback=48)
def pendulum(panel: Panel, bars: int = 48, z_min: float = 2.0) -> Votes:
    """Vote against a close z_min deviations off its mean. Score: 50, 5 a deviation, up to 65."""
    close = panel.close.where(panel.close > 0)
    window = close.rolling(bars, min_periods=bars)
    z = (close - window.mean()) / window.std().where(lambda spread: spread > 1e-6 * close)
    return Votes.of(panel, z < -z_min, z > z_min, (50.0 + 5.0 * z.abs()).clip(upper=65.0))
