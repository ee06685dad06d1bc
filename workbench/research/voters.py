"""What each voter's word was worth: by strategy, by regime, and how often two said the same.

Of a replayed history and of a desk's journal alike; every number is counted from votes and fills. A
trade belongs to every strategy whose counted vote stood behind its entry, so the trades of a table
are more than those of the run where several agreed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Protocol

import pandas as pd

from workbench.calibration import wilson
from workbench.domain import Regime
from workbench.research.history import History
from workbench.research.metrics import trades

REGIMES = tuple(r.name.lower() for r in (*list(Regime)[1:], Regime.UNKNOWN))
RATES = ("closed", "wins", "hit rate", "low", "high")
VOTERS = (
    "votes", "out of regime", "risk off", "counted", "traded", *RATES, "mean return", "calibrated",
    "silence",
)  # fmt: skip
PAIRS = ("one", "other", "both", "same", "opposite", "overlap", "disagreement")


class Voted(Protocol):
    """A desk's record: votes as of their close, fills by the open of their bar."""

    @property
    def run(self) -> Mapping[str, Any]: ...
    @property
    def disabled(self) -> Mapping[str, str]: ...
    @property
    def signals(self) -> pd.DataFrame: ...
    @property
    def fills(self) -> pd.DataFrame: ...


Run = History | Voted


def voter_table(run: Run, silence: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A row a strategy, also of those that never voted.

    `votes` (entries wanted) of which `out of regime` and `risk off` were muted; `counted`: those
    that reached the judge, alone or with others; `traded`: a position opened on it; `closed` of
    these with wins, hit rate, Wilson's 95 % `low` and `high`, and mean return. `calibrated`: the
    share of votes whose confidence is a probability. `silence`: the reason given for it by name, or
    the promise that it broke.
    """
    why = {**(silence or {}), **run.disabled}
    votes = _with_trades(run)
    rows = {}
    for name in _names(run, why):
        own = votes[votes["strategy"] == name]
        rows[name] = {
            "votes": len(own),
            "out of regime": int((own["muted"] == "OUT_OF_REGIME").sum()),
            "risk off": int((own["muted"] == "RISK_OFF").sum()),
            "counted": int(own["counted"].sum()),
            "traded": int(own["traded"].sum()),
            **_rates(own["return"]),
            "mean return": float(own["return"].mean()),
            "calibrated": float((own["outcomes"] > 0).mean()),
            "silence": why.get(name, ""),
        }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(VOTERS))
    return table.rename_axis("strategy")


def regime_table(run: Run) -> pd.DataFrame:
    """How often each strategy was right in each regime: rows (strategy, regime), all of them.

    `votes` in that regime, muted ones too; of the trades that they opened and that are closed:
    `closed`, wins, hit rate and Wilson's 95 % `low` and `high`.
    """
    votes = _with_trades(run)
    rows = {}
    for name in _names(run, {}):
        for regime in REGIMES:
            own = votes[(votes["strategy"] == name) & (votes["regime"] == regime)]
            rows[name, regime] = {"votes": len(own), **_rates(own["return"])}
    index = pd.MultiIndex.from_tuples(list(rows), names=["strategy", "regime"])
    return pd.DataFrame(list(rows.values()), index, ["votes", *RATES])


def agreement(run: Run) -> pd.DataFrame:
    """How independent the voters are: a row a pair of strategies.

    `both`: cells (bar, symbol) in which both voted, muted or not, with the `same` or the `opposite`
    side; `overlap`: their share of the votes of whoever votes less; `disagreement`: the share of
    opposite ones. Two that overlap much and never disagree are one voice counted twice.
    """
    cells = run.signals[["time", "symbol", "strategy", "side"]]
    of = {name: cells[cells["strategy"] == name] for name in _names(run, {})}
    rows = []
    for one, other in combinations(of, 2):
        met = of[one].merge(of[other], on=["time", "symbol"])
        same, both = int((met["side_x"] == met["side_y"]).sum()), len(met)
        least = min(len(of[one]), len(of[other]))
        rows.append(
            (
                one, other, both, same, both - same, both / least if least else float("nan"),
                (both - same) / both if both else float("nan"),
            )
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(PAIRS))


def _rates(returns: pd.Series[Any]) -> dict[str, float]:
    """Of the returns of votes, NaN where no trade was closed on one."""
    closed, wins = int(returns.notna().sum()), int((returns > 0).sum())
    low, high = wilson(wins, closed)
    rate = wins / closed if closed else float("nan")
    return dict(zip(RATES, (closed, wins, rate, low, high), strict=True))


def _with_trades(run: Run) -> pd.DataFrame:
    """The votes with `counted`, `traded` (an entry was filled on it), and the return of that trade
    if it is closed.

    A vote is known by its close, which is the open of the bar in which its entry is filled.
    """
    fills = run.replay.fills if isinstance(run, History) else run.fills
    entries = fills[fills["reason"] == "entry"]
    sides = entries["side"].map({"buy": 1, "sell": -1})
    opened = pd.DataFrame(
        {
            "time": pd.to_datetime(entries["time"], utc=True),
            "symbol": entries["symbol"],
            "side": sides.astype(int),
            "filled": True,
        }
    )
    done = trades(fills)
    closed = pd.DataFrame(
        {
            "time": pd.to_datetime(done["opened"], utc=True),  # of no trade it has no type
            "symbol": done["symbol"],
            "side": done["side"].map({"long": 1, "short": -1}).astype(int),
            "return": done["return"].astype(float),
        }
    )
    keys = ["time", "symbol", "side"]
    votes = run.signals.assign(time=pd.to_datetime(run.signals["time"], utc=True))
    votes = votes.merge(opened, "left", keys).merge(closed, "left", keys)
    counted = votes["stage"] != "vote"
    return votes.assign(
        counted=counted,
        traded=counted & votes["filled"].notna(),
        **{"return": votes["return"].where(counted)},
    )


def _names(run: Run, told: Mapping[str, str]) -> list[str]:
    """Every strategy of the run, and whoever else was told of."""
    if isinstance(run, History):
        known = [*run.votes, *run.disabled]
    else:
        known = [each["name"] for each in run.run["strategies"]]
    return sorted({*known, *run.signals["strategy"], *told})
