r"""A stranger's words where a model reads them: made safe, or withheld with the reason.

What is shown is plain text of one line: no hidden characters, no markup, no addresses, 240 long.
What addresses its reader or imitates what stands around it is not shown at all. It is read for that
as a model might: look-alike letters as what they look like, digits as letters, backwards, joined.
This is the last line before the model and the weakest: a lie in plain words passes every filter,
and so does an instruction that nobody thought of. What holds is above it (two answers, the smaller
counts). Pure.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import html
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from workbench.judges import phrases
from workbench.judges.phrases import bare

LIMIT = 240
NAME_LIMIT = 80
RAW_LIMIT = 4096  # what lies beyond is no headline and is not read
MOST_MARKS = 3  # on one letter: Hindi needs three
SHORTEST_CODE = 12  # of base64 without its padding
LEAST_WORDS = 5  # of a sentence in capitals
ODD = 5  # letters of drawn alphabets that are no accident
FLAGS = 14  # letters of flags, two each, that are no row of flags

EMPTY = "nothing to read"
HIDDEN = "hidden text"
LOOKALIKE = "look-alike letters"
SPACED = "letters set apart"
ENCODED = "encoded text"
FRAME = "imitates the frame"
INSTRUCTS = "instructs its reader"
ANSWERS = "gives the answer"


class Title(NamedTuple):
    """A headline as it may be shown; or `text` is "" and `withheld` says why it may not."""

    text: str
    withheld: str


# --- what is taken out ---------------------------------------------------------------------------

_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]\w{1,31});", re.IGNORECASE)
_MARKUP = re.compile(
    r"<(script|style)\b[^<>]*>.*?</\1\s*>|<!--.*?-->|</?[a-z!?][^<>]*>|<(?=[a-z/!?])",
    re.IGNORECASE | re.DOTALL,
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{1,15}://\S*|\bwww\.\S+", re.IGNORECASE)
_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
# Unseen, and yet letters, marks or symbols to Unicode: joiners, fillers, selectors, empty Braille.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U0001d159\U000e0000-\U000e0fff]"
)
# Runs longer than a flag or a family needs: something is written in them.
_WRITTEN_UNSEEN = re.compile(
    "[\U000e0000-\U000e0fff]{9}|[\ufe00-\ufe0f]{3}|[\u200b-\u200f\u2060-\u2064\u00ad\ufeff]{6}"
)
_AS_IT_IS = re.compile("[ -~\xc0-\xff\u2013\u2014\u2018\u2019\u201c\u201d\u20ac]*")
_TYPED = str.maketrans("\u2013\u2014\u2018\u2019\u201c\u201d", "--''\"\"")
_WORD, _TERM = re.compile(r"[^\W\d_]+"), re.compile(r"[^\W_]+")


def _open(text: str) -> str:
    """NFKC and nothing unseen; of white space only blanks and line breaks are left."""
    while "&" in text and (seen := _ENTITY.sub(lambda e: html.unescape(e[0]), text)) != text:
        text = seen
    if _AS_IT_IS.fullmatch(text):
        return text
    text = _BREAK.sub("\n", _UNSEEN.sub("", unicodedata.normalize("NFKC", _UNSEEN.sub("", text))))
    kept: list[str] = []
    marks = 0
    for char in text.replace("\t", " "):
        category = unicodedata.category(char)
        if category[0] == "C" and char != "\n":
            continue
        marks = marks + 1 if category[0] == "M" else 0
        if marks <= MOST_MARKS:
            kept.append(char)
    return "".join(kept)


def _line(text: str) -> str:
    """One line without markup and addresses."""
    if "<" in text:
        text = _MARKUP.sub(" ", text)
    if "://" in text or "ww." in text.lower():
        text = _ADDRESS.sub(" ", text)
    return " ".join(text.split())


# --- letters that look like others ---------------------------------------------------------------

# Each pair is of letters that most fonts draw alike.
_ALIKE = str.maketrans(
    "АВЕЅІЈКМНОРСТУХҮԌԚԜѴ" "аеорсухіјѕһԁԛԝѵүӏкмтвн"
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϺ" "αικνορτυχϲϳεη"
    "ՕՍՏԼ" "օսոհցյգք"
    "ᎪᏴᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏃᏢᎡᏚᎢᏙᎳᏎ"
    "ꓮꓐꓚꓓꓰꓝꓖꓧꓲꓙꓗꓡꓟꓠꓳꓑꓣꓢꓔꓴꓦꓪꓫꓬꓜ"
    "ⲞⲤⲢⲀⲈⲔⲘⲚⲦⲟⲥⲣ",
    "ABESIJKMHOPCTYXYGQWV" "aeopcyxijshdqwvylkmtbh"
    "ABEZHIKMNOPTYXCM" "aiknoptuxcjen"
    "OUSL" "ounhgjqp"
    "ABCDEGHIJKLMNPRSTVWS"
    "ABCDEFGHIJKLMNOPRSTUVWXYZ"
    "OCPAEKMNTocp",
)  # fmt: skip
# Nobody writes headlines in these: small capitals, phonetic, upside down, in circles, in squares.
_ODD = str.maketrans(
    "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ" "ɑɡɩɓɗɛɠɦɨɲɵƥʂʈʋɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ",
    "abcdefghijklmnopqrstuvwyz" "agibdeghinopstvacefghijkmrtvwy",
)  # fmt: skip
# Read as Latin, and no sign of anything by themselves.
_LOOSE = str.maketrans("ıłøđħŧʟгпшяиμσςωλ₿Ξ€", "ilodhtlrnwrnuoswlbee")
_ODD |= {first + i: chr(97 + i) for first in (0x1F150, 0x1F170) for i in range(26)}
_FLAGS = {0x1F1E6 + i: chr(97 + i) for i in range(26)}
_AS_LATIN = _LOOSE | _FLAGS | _ODD | _ALIKE
_STRANGE = re.compile(
    "[\u0370-\u058f\u13a0-\u13ff\uab70-\uabbf\u1f00-\u1fff\u2c80-\u2cff\ua4d0-\ua4ff]"
)
_SUSPECTS = frozenset(map(chr, _ALIKE | _ODD | _FLAGS))


def _pretends(plain: str) -> bool:
    """Is a word made of letters that pretend to be others?"""
    if _SUSPECTS.isdisjoint(plain):
        return False
    strange = _STRANGE.findall(plain)
    foreign = any(ord(char) not in _ALIKE for char in strange)  # written in that script, then
    for word in _WORD.findall(plain):
        alike = sum(ord(char) in _ALIKE for char in word)
        if alike and alike == len(_STRANGE.findall(word)):
            mixed = alike < len(word)
            if mixed or (len(word) > 1 and not foreign):
                return True
    odd, flags = (sum(ord(char) in those for char in plain) for those in (_ODD, _FLAGS))
    return odd >= ODD or flags >= FLAGS


# --- what is read in it --------------------------------------------------------------------------

_KEY_WORDS = "ignore previous instructions disregard proceed approve override confidence system"
_KEYS = frozenset(_KEY_WORDS.split())
# Written wrong, and still read as what they were to be.
_OFTEN = frozenset([*_KEYS, "instruction", "answer", "respond", "decision", "trade", "entry",
                    "rules", "prompt", "the"])  # fmt: skip


def _typos(word: str) -> set[str]:
    """A word with two neighbours swapped or, if it is long, with a letter left out."""
    swapped = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    left_out = {word[:i] + word[i + 1 :] for i in range(1, len(word)) if len(word) > 5}
    return (swapped | left_out) - _OFTEN


_TURNED = {key[::-1] for key in _KEYS} | {codecs.encode(key, "rot13") for key in _KEYS}
_TYPOS = {typo: word for word in sorted(_OFTEN) for typo in _typos(word)}
# Joined whatever set them apart; no two ordinary words make these between them.
_WHOLE = ("proceed", "instruction", "disregard")
_JOINED = re.compile(
    r"(?:ignore|disregard|forget|override|bypass)(?:all|any|the|these|every|of|my|and)*(?:previous"
    r"|prior|above|earlier|your|system|all)+(?:instruct|prompt|directive|command|context)"
    r"|approvethis(?:trade|entry|case)|youmustproceed|(?:respond|answer|reply)withproceed"
)
_APART = re.compile(r"(?<![^\W_])[^\W\d_](?:[\W_]{1,3}[^\W_]){4,}(?![^\W_])")
_LEET = re.compile(  # within a word, at its end or at its head
    r"[013457@$!|+8](?:(?<=[a-z].)[013457@$!|+8]*[a-z]|(?<=[a-z][a-z].)(?![^\W_])|(?<![^\W_].)[a-z]{2})"
)
_AS_LETTERS = tuple(str.maketrans("013457@$!|+8", to) for to in ("oieastasiltb", "oleastaslltb"))
_CHUNK = re.compile(r"[A-Za-z0-9+/]{8,}=*|(?:%[0-9A-Fa-f]{2}){3}")
_HEX = re.compile(r"(?:0[xX])?(?=\d*[a-fA-F])[0-9a-fA-F]{16,}")
_PROSE = re.compile(rb"[A-Za-z0-9 .,:;!?'\"{}_=-]+")
# Codes of letters one after the other: bits, hexadecimal, decimal, Morse, escapes.
_SERIES = re.compile(
    r" (?:(?:[01]{7,8}\s*){3}|(?:(?:0x)?[0-9a-fA-F]{2}[ :,-]+){7}[0-9a-fA-F]{2}\b"
    r"|(?:(?:3[2-9]|[4-9]\d|1[01]\d|12[0-6])[ ,]+){5}\d{2,3}\b|(?:[.\-–—·•]{1,5}[ /]+){6})"
    r"|(?:\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-7]{3})){3}"
)


def _reason(text: str) -> str:
    """Why a line of visible characters is withheld, "" if it may be shown."""
    plain = bare(text.translate(_TYPED))
    if plain.isascii():
        read = plain.lower()
    elif _pretends(plain):
        return LOOKALIKE
    elif phrases.SPEAKS.search(plain.casefold()):
        return INSTRUCTS
    else:
        read = plain.translate(_AS_LATIN).casefold()
    if _framed(read):
        return FRAME
    if "PROCEED" in plain and not _all_shouted(plain):
        return ANSWERS
    tokens = _TERM.findall(read)
    return _spoken(tokens) or _disguised(read, tokens) or (ENCODED if _coded(plain) else "")


def _all_shouted(plain: str) -> bool:
    """Is a whole sentence in capitals, and not the one word?"""
    return plain.isascii() and plain.isupper() and len(plain.split()) >= LEAST_WORDS


def _framed(read: str) -> bool:
    """Does it imitate what stands around a headline?"""
    if phrases.FRAME_SIGNS.search(read) or phrases.FRAME_WORDS.search(read):
        return True
    starts = phrases.FRAME_STARTS.finditer(read)
    return any(not read[: found.start()].rstrip(" ")[-1:].isalnum() for found in starts)


def _spoken(tokens: list[str]) -> str:
    """Why words as they stand are not for a reader of news, "" if they are."""
    words = f" {' '.join(tokens)} "
    if phrases.ANSWERS.search(words):
        return ANSWERS
    told = phrases.INSTRUCTS.search(words) or phrases.ELSEWHERE_LATIN.search(words)
    return INSTRUCTS if told else ""


def _disguised(read: str, tokens: list[str]) -> str:
    """Why a text is withheld that says something else when it is read in another way."""
    joined = "".join(tokens)
    hidden = [key for key in _WHOLE if key in joined]
    if _APART.search(read) or any(not any(key in each for each in tokens) for key in hidden):
        return SPACED
    if _JOINED.search(joined):
        return INSTRUCTS
    if not _TURNED.isdisjoint(tokens):
        return ENCODED
    mended = [_TYPOS.get(token, token) for token in tokens]
    if mended != tokens and (why := _spoken(mended)):
        return why
    if _LEET.search(read):
        for letters in (_TERM.findall(read.translate(table)) for table in _AS_LETTERS):
            if why := _spoken(letters):
                return why
            if _KEYS.intersection(letters).difference(tokens):
                return INSTRUCTS
    return ""


def _coded(text: str) -> bool:
    """Is something written in it that has to be decoded to be read?"""
    if _SERIES.search(f" {text}"):
        return True
    return any(map(_code, _CHUNK.findall(text)))


def _code(chunk: str) -> bool:
    """Is a long word no word? Hexadecimal, base32, base64 of prose, or too mixed to be one."""
    if chunk[0] == "%" or chunk[-1] == "=" or _HEX.fullmatch(chunk):
        return True
    if len(chunk) < SHORTEST_CODE or (chunk.isalpha() and chunk[1:].islower()):
        return False
    kinds = (str.isupper, str.islower, str.isdigit)
    if len(chunk) >= 24 and sum(any(map(kind, chunk)) for kind in kinds) == len(kinds):
        return True
    if len(chunk) >= 16 and chunk.isupper() and not chunk.isalpha():
        return True
    try:
        return bool(_PROSE.fullmatch(base64.b64decode(chunk + "=" * (-len(chunk) % 4))))
    except binascii.Error:  # no base64: there is nothing to read in it
        return False


@lru_cache(maxsize=1 << 14)
def title(raw: str) -> Title:
    """The headline in `raw` as a model may be shown it."""
    text = raw[:RAW_LIMIT]
    if not text.isascii() and _WRITTEN_UNSEEN.search(text):
        return Title("", HIDDEN)
    while True:  # what is taken out may join its neighbours to something that must go as well
        seen = _open(text)
        if ("<" in seen or "\n" in seen) and _framed(bare(seen).casefold()):
            return Title("", FRAME)
        if (line := _line(seen)[:RAW_LIMIT].rstrip()) == text:
            break
        text = line
    shown = text[:LIMIT].rstrip()
    if not shown:
        return Title("", EMPTY)
    # what is beyond the limit is not shown, and tells what the rest is for
    why = _reason(text) or (_reason(shown) if shown != text else "")
    return Title("" if why else shown, why)


_UNSAFE = re.compile(r"[^A-Za-z0-9 ._:%$+~/-]+")


@lru_cache(maxsize=1 << 14)
def name(raw: str) -> str:
    """A name of a source, a feature or an id in a safe alphabet, 80 long. One that addresses its
    reader, or has no such letter, is replaced by a hash of itself."""
    safe = " ".join(_UNSAFE.sub(" ", bare(_open(raw[:RAW_LIMIT]))).split())[:NAME_LIMIT].rstrip()
    tokens = _TERM.findall(safe.casefold())
    if (raw and not safe) or _spoken(tokens) or _disguised(safe.casefold(), tokens):
        return f"withheld {hashlib.sha256(raw.encode(errors='replace')).hexdigest()[:8]}"
    return safe
