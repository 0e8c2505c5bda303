r"""What a model wrote, as HTML in which nothing but text, mathematics and code can be.

All of the text is escaped before anything else happens to it. Mathematics between `$...$`, `$$...$$`, `\(...\)` or
`\[...\]`, and every `\boxed{...}`, becomes MathML, of which only elements and attributes of a short list are left.
"""

import re
from html import escape
from xml.etree import ElementTree as ET

from latex2mathml.converter import convert

LONGEST_FORMULA = 2000
"""Characters; a longer one stays text."""
MOST_FORMULAS = 200
"""In one text; further ones stay text, so that no text makes the page slow."""

_PARTS = re.compile(
    r"(?P<code>^```[^\n]*\n.*?(?:^```[ \t]*$|\Z))"
    r"|\$\$(?P<block>.+?)\$\$|\\\[(?P<bracket>.+?)\\\]"
    r"|(?P<boxed>\\boxed\{(?:[^{}\n]|\{[^{}\n]*\})*\})"
    r"|\\\((?P<round>.+?)\\\)|(?<![\\$\w])\$(?P<dollar>[^\s$](?:[^$\n]*[^\s$])?)\$(?![\w$])",
    re.DOTALL | re.MULTILINE,
)
_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_ELEMENTS = frozenset(
    "math mrow mi mn mo mtext mspace ms mfrac msqrt mroot mstyle merror mpadded mphantom menclose msub msup msubsup "
    "munder mover munderover mmultiscripts mprescripts none mtable mtr mtd".split()
)
_ATTRIBUTES = frozenset(
    "display displaystyle mathvariant stretchy fence separator form lspace rspace width height depth linethickness "
    "columnalign rowspacing columnspacing accent accentunder movablelimits minsize maxsize notation scriptlevel".split()
)
_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"


def as_html(text: str) -> str:
    """The text with its mathematics and code, as HTML."""
    made, at = [], 0
    for count, part in enumerate(_PARTS.finditer(text)):
        shown = _part(part) if count < MOST_FORMULAS or part["code"] else _plain(part[0])
        stands_alone = 'display="block"' in shown or part["code"]
        before = text[at : part.start()]
        made += [_plain(before.rstrip() if stands_alone else before), shown]
        at = part.end()
        if stands_alone:
            at += len(text[at:]) - len(text[at:].lstrip())
    return "".join([*made, _plain(text[at:])])


def _part(part: re.Match[str]) -> str:
    if part["code"]:
        first, _, rest = part["code"].partition("\n")
        body = rest.rsplit("```", 1)[0] if rest.rstrip().endswith("```") else rest
        language = first.removeprefix("```").strip()
        return f'<pre class="code"><code data-language="{escape(language)}">{escape(body.rstrip())}</code></pre>'
    inline = part["round"] or part["dollar"] or part["boxed"]
    return _formula(inline or part["block"] or part["bracket"], "inline" if inline else "block") or _plain(part[0])


def _formula(latex: str, display: str) -> str | None:
    """The formula as MathML; None if it is none."""
    if len(latex) > LONGEST_FORMULA:
        return None
    try:
        tree = ET.fromstring(convert(latex, display=display))  # noqa: S314  # what the converter made: no DTD
    except Exception:  # noqa: BLE001  # whatever a model wrote between the signs
        return None
    _strip(tree)
    ET.register_namespace("", _NAMESPACE[1:-1])
    return ET.tostring(tree, encoding="unicode")


def _strip(element: ET.Element) -> None:
    element.attrib = {name: value for name, value in element.attrib.items() if name in _ATTRIBUTES}
    for child in list(element):
        if child.tag.removeprefix(_NAMESPACE) in _ELEMENTS:
            _strip(child)
        else:
            element.remove(child)


def _plain(text: str) -> str:
    return _BOLD.sub(r"<strong>\1</strong>", escape(text))
