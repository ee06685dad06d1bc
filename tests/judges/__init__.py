"""Layer 3, and the case its tests start from."""

from __future__ import annotations

import pandas as pd

from workbench.domain import Case, Headline, Signal

AS_OF = pd.Timestamp("2024-03-05 12:00", tz="UTC")
CALM = {
    "return_24h": 0.0, "return_7d": 0.0, "funding": 0.0001, "netflow_z": 0.0, "fear_greed": 50.0,
    "vix": 15.0, "fed_expected_bps": 0.0,
}  # fmt: skip


def a_case(**changed: object) -> Case:
    """A long on BTC in a calm trend, one vote for it, everything known."""
    fields: dict[str, object] = {
        "as_of": AS_OF,
        "symbol": "BTC/USDT",
        "side": 1,
        "signals": (Signal("ema_adx", "trend", "BTC/USDT", 1, 60.0),),
        "regime": "trending",
        "features": dict(CALM),
        "headlines": (),
        "missing": (),
    }
    return Case(**(fields | changed))  # type: ignore[arg-type]


def a_headline(title: str = "Bitcoin rises", **changed: object) -> Headline:
    fields: dict[str, object] = {
        "id": "h1", "available_at": AS_OF, "title": title, "source": "wire", "symbol": "BTC",
    }  # fmt: skip
    return Headline(**(fields | changed))  # type: ignore[arg-type]
