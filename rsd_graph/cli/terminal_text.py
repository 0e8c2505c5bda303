r"""Text of models, servers, files and arguments, made harmless before a terminal shows it.

A terminal obeys control characters: they clear the screen, rename the window, write to the clipboard, or move the
cursor back over what stands there. Bidirectional controls show a line in another order than it has, and characters
without a width hide in it. All of these are shown as Python escapes, such as `\x1b`; letters of every script, and
emoji, stay as they are.
"""

import re
import unicodedata

import typer
from rich.text import Text

_OBEYED_OR_UNSEEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of direction
    "\u2028\u2029"  # Unicode's own line ends
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f"  # without a width
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # tags, and more variation selectors
    "\ud800-\udfff"  # halves of a pair, which no encoding can write
    "]"
)
_JOINERS = frozenset("\u200c\u200d")
_VARIATIONS = frozenset(map(chr, range(0xFE00, 0xFE10)))
_KEYCAPS = frozenset("#*0123456789")


def harmless(text: str) -> str:
    """The text with nothing that a terminal obeys or hides, save line feeds and tabs."""
    return _OBEYED_OR_UNSEEN.sub(_shown, text.replace("\r\n", "\n"))


def plain(text: str, style: str = "") -> Text:
    """The text for Rich: harmless, and never read as Rich's markup."""
    return Text(harmless(text), style=style)


def say(text: str) -> None:
    """Print a line of text on standard output."""
    typer.echo(harmless(text))


def _shown(match: re.Match[str]) -> str:
    character, start = match.group(), match.start()
    before, after = match.string[max(0, start - 1) : start], match.string[start + 1 : start + 2]
    if character in _JOINERS and _joins(before) and _joins(after):
        return character
    if character in _VARIATIONS and before not in _VARIATIONS and (_joins(before) or before in _KEYCAPS):
        return character
    return ascii(character)[1:-1]


def _joins(neighbour: str) -> bool:
    """Whether a joiner or a variation selector beside it is part of how a script, or an emoji, is written."""
    return neighbour > "\x7f" and unicodedata.category(neighbour)[0] in "LMS"
