"""A trading desk in notebooks: data, strategies, a judge, risk and execution, each decision kept.

    import workbench as wb
    desk = wb.load_desk()
    world = desk.world()
    run = wb.run_history(desk, world)

The names below are the whole surface a notebook needs, in the order of the pipeline. They load on
first use: importing the package loads no vendor library.
"""

import sys
from importlib import import_module

_HOME = {
    # data
    "Panel": "domain", "Snapshot": "domain", "Lake": "data.lake", "World": "data.snapshot",
    "lake_at": "data.lake", "holdings": "data.holdings", "check_feed": "data.feeds.contract",
    # strategies
    "Votes": "domain", "strategy": "strategies.vote", "check_strategy": "strategies.contract",
    # judge
    "Case": "domain", "Verdict": "domain", "wanted": "strategies.vote",
    "build_cases": "judges.case",
    "rubric": "judges.rubric", "always": "judges.constant",
    # risk and execution
    "Limits": "domain", "Costs": "domain", "Reason": "domain", "Proposal": "domain",
    "Book": "domain",
    # the desk, one bar of it, years of it
    "Desk": "desk", "load_desk": "desk", "load_judge": "desk", "replay": "research.replay",
    "run_history": "research.history", "why_no_trade": "research.history",
    "summary": "research.metrics",
    # what a voter is worth, what an idea, and what a veto was
    "calibrate": "research.calibrate", "voter_table": "research.voters",
    "regime_table": "research.voters", "agreement": "research.voters",
    "alone": "research.sweep", "sweep": "research.sweep",
    "plan_of": "research.sweep", "search": "research.search", "outcomes": "research.outcomes",
    "validate": "research.validate", "promote": "research.promotion",
    "tear_sheet": "research.tearsheet", "cost_study": "research.slippage",
    "resolved": "tuning.scorecard", "scorecard": "tuning.scorecard", "telling": "tuning.scorecard",
    "by_knowledge": "tuning.skill", "skill": "views", "judgement": "views.judgement",
    # a desk that ran: its record, its gate, its week, its risk
    "Record": "trading.record", "read_record": "trading.record", "paper_gate": "trading.gates",
    "trades": "research.metrics", "Week": "trading.weekly", "read_week": "trading.weekly",
    "review": "trading",
    # what happened, and how it looks
    "progress": "views.progress", "Journal": "journal", "charts": "views", "studies": "views",
    "tables": "views", "voters": "views", "week": "views", "feeds": "views", "evidence": "views",
}  # fmt: skip

__all__ = sorted(_HOME)  # noqa: PLE0605  it is a list, of what _HOME says


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    if home in {"views", "trading"}:
        return import_module(f"workbench.{home}.{name}")
    return getattr(import_module(f"workbench.{home}"), name)


def __dir__() -> list[str]:
    return __all__


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()):
    import_module("workbench.views.reprs").register(_shell)  # a notebook shows what it is given
