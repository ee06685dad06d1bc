"""Headline templates of the sample world: made-up firms, real-sounding news, no real event.

Every template is written so that the lexicon hears it the way its group says; a test holds them
to it. Nothing here is random or dated.
"""

from __future__ import annotations

NAMES = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "SOL": "Solana",
    "XRP": "XRP",
    "ADA": "Cardano",
    "DOGE": "Dogecoin",
    "LINK": "Chainlink",
    "AVAX": "Avalanche",
}

FIRMS = (
    "Northgate Capital", "Bluefin Exchange", "Harbor Custody", "Meridian Bank", "Orchard Pay",
    "Kestrel Labs", "Quayside Fund", "Tessera Markets", "Lanternfish", "Ostrava Digital",
)  # fmt: skip

GOOD = (
    "{firm} announces partnership to bring {name} to its clients",
    "{name} rallies as funds report record inflows",
    "Regulator approves {firm} fund that holds {name}",
    "{name} jumps to an all-time high in daily transfers",
    "Court dismisses lawsuit against {firm} over {name} sales",
    "{name} upgrade goes live without outage",
    "{firm} denies hack rumours, {name} deposits are safe",
    "Analysts turn bullish on {name} after short squeeze",
    "{name} climbs while traders bet the Fed cuts rates",
    "{firm} wins approval for a {name} trust",
)
MILD = (
    "{firm} launches a {name} desk",
    "{name} developers settle date of the next release",
    "{name} rises in quiet trading",
    "Survey sees support for {name} payments",
)
FLAT = (
    "Five things to know about {name} this week",
    "{firm} publishes its quarterly {name} report",
    "What is next for {name}?",
    "{name} trades in a narrow range",
    "{firm} moves its {name} team to a new office",
    "{name} conference opens in Lisbon",
)
WORRIED = (
    "{name} slips in thin weekend trading",
    "{firm} delays its {name} product",
    "Strategist warns about {name} valuation",
    "{name} falls to a two-week low",
)
BAD = (
    "{firm} hacked, {name} wallets drained",
    "Regulator sues {firm} over {name} sales",
    "{name} plunges as liquidations mount",
    "{firm} halts withdrawals of {name}",
    "{firm} files for bankruptcy, {name} creditors in panic",
    "{name} bridge exploited for {millions} million dollars",
    "Regulator rejects {firm} fund that would hold {name}",
    "{name} tumbles after outage at {firm}",
    "Lawmakers propose ban on {name} mining",
    "{name} products see record outflows",
)

# How often each group speaks.
GROUPS = ((GOOD, 0.24), (MILD, 0.14), (FLAT, 0.24), (WORRIED, 0.14), (BAD, 0.24))
