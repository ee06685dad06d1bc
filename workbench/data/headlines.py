"""Headlines as untrusted text, and a deterministic score for them.

`clean` makes a title safe to store, show and quote; `score` is a small crypto lexicon with
negation and reversal (dismisses a lawsuit, denies a hack, cuts rates). It is a baseline, not a
reader: it knows no irony, no entity and no context, and says 0 when it does not know. Pure; the
words are ours, no foreign dictionary is bundled.
"""

from __future__ import annotations

import hashlib
import html
import math
import re
import unicodedata
from functools import lru_cache

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.data.join import US_PER_HOUR, micros

TITLE_LIMIT = 240
RAW_LIMIT = 4096  # what lies beyond is no headline, and costs time to clean

_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]\w{1,31});", re.IGNORECASE)
_UNSEEN = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>|<!--.*?-->", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z!?][^<>]*>", re.IGNORECASE)
_LEFT_OPEN = re.compile(r"<(?=[a-z/!?])", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,15}://\S*|\bwww\.\S+", re.IGNORECASE)

# Said of several words at once; they are looked for first and their words are then used up.
PHRASES: dict[str, float] = {
    "all time high": 0.7,
    "all time highs": 0.7,
    "record high": 0.6,
    "record inflows": 0.7,
    "record outflows": -0.7,
    "short squeeze": 0.5,
    "crush short sellers": 0.5,
    "crush shorts": 0.5,
    "short sellers": 0.0,
    "short term": 0.0,
    "cuts rates": 0.6,
    "cut rates": 0.5,
    "rate cut": 0.5,
    "rate cuts": 0.5,
    "cuts interest rates": 0.6,
    "raises rates": -0.5,
    "hikes rates": -0.5,
    "raises interest rates": -0.5,
    "rate hike": -0.4,
    "rate hikes": -0.4,
    "inflation cools": 0.5,
    "inflation rises": -0.4,
    "files for bankruptcy": -0.9,
    "files for": 0.2,
    "rug pull": -0.8,
    "sell off": -0.6,
    "wells notice": -0.6,
    "death cross": -0.4,
    "golden cross": 0.4,
    "all time low": -0.7,
    "bear market": -0.4,
    "bull market": 0.4,
    "bull run": 0.5,
    "goes live": 0.3,
    "money laundering": -0.6,
    "halts withdrawals": -0.8,
    "pauses withdrawals": -0.8,
    "resumes withdrawals": 0.5,
    "pleads guilty": -0.6,
    "steps down": -0.3,
    "record low": -0.6,
}

# By their plain form; -s, -ed and -ing are made from it.
WORDS: dict[str, float] = {
    "surge": 0.6, "soar": 0.7, "rally": 0.5, "jump": 0.5, "gain": 0.4, "climb": 0.4, "rise": 0.3,
    "rebound": 0.4, "recover": 0.4, "outperform": 0.4, "bullish": 0.5, "bull": 0.3,
    "approve": 0.6, "approval": 0.5, "adopt": 0.4, "adoption": 0.4, "partnership": 0.4,
    "partner": 0.3, "launch": 0.3, "upgrade": 0.4, "inflow": 0.4, "accumulate": 0.4, "win": 0.5,
    "victory": 0.6, "breakthrough": 0.5, "boost": 0.4, "support": 0.2, "optimism": 0.4,
    "optimistic": 0.4, "record": 0.2, "acquit": 0.6, "settle": 0.3, "milestone": 0.4,
    "plunge": -0.7, "crash": -0.8, "tumble": -0.6, "slump": -0.6, "drop": -0.4, "fall": -0.4,
    "slide": -0.4, "slip": -0.3, "sink": -0.5, "decline": -0.4, "lose": -0.4, "loss": -0.4,
    "bearish": -0.5, "bear": -0.3, "hack": -0.8, "exploit": -0.7, "attack": -0.5, "breach": -0.6,
    "steal": -0.7, "theft": -0.7, "drain": -0.6, "scam": -0.7, "fraud": -0.8, "ponzi": -0.8,
    "lawsuit": -0.6, "sue": -0.6, "charge": -0.4, "probe": -0.4, "investigation": -0.4,
    "crackdown": -0.6, "ban": -0.6, "reject": -0.6, "rejection": -0.6, "delist": -0.6,
    "delay": -0.3, "outage": -0.5, "bankruptcy": -0.8, "insolvent": -0.9, "insolvency": -0.9,
    "liquidation": -0.4, "outflow": -0.4, "selloff": -0.6, "dump": -0.5, "fear": -0.4,
    "panic": -0.6, "warn": -0.3, "risk": -0.1, "fined": -0.4, "collapse": -0.8, "default": -0.6,
    "contagion": -0.6, "depeg": -0.8, "worry": -0.4, "concern": -0.3, "uncertainty": -0.3,
}  # fmt: skip

# Forms that "+s, +ed, +ing" do not make.
IRREGULAR = {
    "rose": "rise", "risen": "rise", "fell": "fall", "fallen": "fall", "sank": "sink",
    "stole": "steal", "stolen": "steal", "lost": "lose", "losses": "loss", "won": "win",
    "dropped": "drop", "banned": "ban", "slipped": "slip", "depegged": "depeg", "sued": "sue",
    "suing": "sue", "crashes": "crash", "surging": "surge", "rallies": "rally",
    "rallied": "rally", "worries": "worry", "losing": "lose", "winning": "win",
}  # fmt: skip

# Said of what follows: the next scored word or two turn round. The second set has a meaning of
# its own ("bitcoin drops 6%") and turns only what it governs at once ("drops lawsuit").
_DENIALS = """
dismiss dismisses dismissed deny denies denied refute refutes refuted debunk debunks debunked
withdraws withdrew overturns overturned averts averted avoids avoided no not never none without
isnt wasnt dont doesnt didnt wont cant couldnt cannot hardly fails failed unlikely
"""
_ENDINGS = "drops dropped lifts lifted rejects rejected blocks blocked ends ended halts halted"
_BREAKS = ", . ; : ! ? after as amid despite while but below above"
DENIALS, ENDINGS = frozenset(_DENIALS.split()), frozenset(_ENDINGS.split())
BREAKS = frozenset(_BREAKS.split())
DENIAL_REACH, ENDING_REACH = 5, 3
REVERSED = 0.6  # no crash is better than a crash, and less than a rally

_TOKEN = re.compile(r"[a-z0-9%$]+|[,.;:!?]")
_LONGEST = 4


def _forms() -> dict[str, float]:
    forms: dict[str, float] = {}
    for word, weight in WORDS.items():
        stem = word.removesuffix("e")
        made = (word, word + "s", word + "es", stem + "ed", word + "ed", stem + "ing", word + "ing")
        forms |= dict.fromkeys(made, weight)
    return forms | {form: WORDS[word] for form, word in IRREGULAR.items()}


_WEIGHTS = _forms() | PHRASES
_STARTS = frozenset(phrase.split()[0] for phrase in PHRASES)


def clean(title: str) -> str:
    """A title fit to store and quote: NFKC, no control, format or variation characters, no HTML
    (entities resolved, tags and scripts dropped), no addresses, 240 long.

    Look-alike letters of other alphabets stay; whoever quotes a title to a model has to weigh them.
    """
    text = title[:RAW_LIMIT]
    # what is taken out may join its neighbours to something that must go as well
    while (plain := _plain(text)) != text:
        text = plain
    return text


def _plain(text: str) -> str:
    while (resolved := _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)) != text:
        text = resolved
    text = unicodedata.normalize("NFKC", text)
    if not (text.isascii() and text.isprintable()):
        text = "".join(
            " " if char in "\t\n\r\v\f" else char
            for char in text
            if char in "\t\n\r\v\f"
            or not (unicodedata.category(char)[0] == "C" or _variation(char))
        )
    for unwanted in (_UNSEEN, _TAG, _LEFT_OPEN, _URL):
        text = unwanted.sub(" ", text)
    return " ".join(text.split())[:TITLE_LIMIT].rstrip()


def _variation(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def headline_id(symbol: str, link: str) -> str:
    """A short name for one item about one asset, the same whenever and wherever it is read."""
    return hashlib.sha256(f"{symbol}\n{link}".encode()).hexdigest()[:16]


@lru_cache(maxsize=1 << 16)
def score(title: str) -> float:
    """How good the news sounds for the price, from -1 to 1; 0 if no word is known."""
    text = title.lower().replace("'", "").replace("\u2019", "")
    tokens = _TOKEN.findall(text)
    total, at, turned_until = 0.0, 0, 0
    while at < len(tokens):
        token = tokens[at]
        weight, used = _weight(tokens, at)
        if token in BREAKS:
            turned_until = 0
        elif token in DENIALS and _governs(tokens, at, DENIAL_REACH):
            turned_until, weight = at + 1 + DENIAL_REACH, 0.0
        elif token in ENDINGS and used == 1 and _governs(tokens, at, ENDING_REACH):
            turned_until, weight = at + 1 + ENDING_REACH, 0.0
        total += -REVERSED * weight if at < turned_until else weight
        at += used
    return max(-1.0, min(1.0, round(total, 6)))


def _weight(tokens: list[str], at: int) -> tuple[float, int]:
    """The weight of the longest phrase or word that begins here, and how many tokens it uses."""
    if tokens[at] in _STARTS:
        for used in range(min(_LONGEST, len(tokens) - at), 1, -1):
            phrase = " ".join(tokens[at : at + used])
            if phrase in PHRASES:
                return PHRASES[phrase], used
    return _WEIGHTS.get(tokens[at], 0.0), 1


def _governs(tokens: list[str], at: int, reach: int) -> bool:
    """True if a scored word follows within reach, before the clause breaks."""
    stops = BREAKS if reach == DENIAL_REACH else BREAKS | {"to", "in", "on", "by", "%"}
    for ahead in range(at + 1, min(at + 1 + reach, len(tokens))):
        if tokens[ahead] in stops or "%" in tokens[ahead]:
            return False
        if _weight(tokens, ahead)[0]:
            return True
    return False


def decayed(
    times: pd.DatetimeIndex, available_at: pd.DatetimeIndex, scores: Floats, tau_hours: float = 6.0
) -> Floats:
    """S_t = sum of s_i exp(-(t - t_i) / tau) over the headlines available at t.

    One pass over the headlines, so that a later one changes no earlier value even in the last bit.
    NaN before the first headline ever: silence and ignorance are not the same.
    """
    available = micros(available_at)
    order = np.argsort(available, kind="stable")
    heard, said = available[order], np.asarray(scores, dtype=np.float64)[order]
    if not len(heard):
        return np.full(len(times), np.nan)
    level, last, levels = 0.0, int(heard[0]), np.empty(len(heard))
    for i, (moment, value) in enumerate(zip(heard.tolist(), said.tolist(), strict=True)):
        level = level * math.exp((last - moment) / US_PER_HOUR / tau_hours) + value
        last, levels[i] = moment, level
    now = micros(times)
    at = np.searchsorted(heard, now, side="right") - 1
    faded = np.full(len(now), np.nan)
    after = at >= 0
    known = at[after]
    hours = (now[after] - heard[known]) / US_PER_HOUR
    faded[after] = levels[known] * np.exp(-hours / tau_hours)
    return faded
