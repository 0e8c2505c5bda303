r"""One spelling for every way to write the same answer.

LaTeX commands, Unicode characters and plain text become the same single characters (`\leq`, `<=` and `≤` become `≤`),
and what only changes the looks (spacing, fonts, `\left`, math delimiters, boxes, emphasis) goes. Every step is one
pass of a regular expression without nested repetition, so the time is linear in the length.
"""

import re
import unicodedata

SET_OPEN, SET_CLOSE = "⦃", "⦄"  # the braces of a set; plain braces only group
FUNCTIONS = (
    "arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh tanh coth sin cos tan cot sec csc "
    "cis sqrt cbrt exp ln log lg floor ceil abs gcd lcm max min binom"
).split()

_GREEK = dict(
    zip(
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau "
        "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split(),
        "αβγδεεζηθθικλμνξπρστυφφχψωΓΔΘΛΞΠΣΦΨΩ",
        strict=True,
    )
)
_COMMANDS = {
    **_GREEK,
    **dict.fromkeys("cdot times ast bullet".split(), "*"),
    **dict.fromkeys("div slash".split(), "/"),
    **dict.fromkeys("le leq leqslant".split(), "≤"),
    **dict.fromkeys("ge geq geqslant".split(), "≥"),
    **dict.fromkeys("ne neq".split(), "≠"),
    **dict.fromkeys("approx approxeq simeq".split(), "≈"),
    **dict.fromkeys("mid vert lvert rvert".split(), "|"),
    **dict.fromkeys("lbrace".split(), SET_OPEN),
    **dict.fromkeys("rbrace".split(), SET_CLOSE),
    **dict.fromkeys("emptyset varnothing".split(), "∅"),
    **dict.fromkeys("ldots dots cdots dotsc dotsb vdots ddots hdots".split(), "…"),
    **dict.fromkeys("to rightarrow longrightarrow implies Rightarrow".split(), "→"),
    **dict.fromkeys("dfrac tfrac cfrac".split(), r"\frac"),
    **dict.fromkeys("dbinom tbinom".split(), r"\binom"),
    **dict.fromkeys("displaystyle textstyle limits nolimits left right middle".split(), ""),
    **dict.fromkeys("big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr".split(), ""),
    **dict.fromkeys("quad qquad enspace thinspace space hfill newline".split(), " "),
    **dict.fromkeys("rm bf it sf cal".split(), ""),
    **dict.fromkeys("land wedge".split(), " and "),
    **dict.fromkeys("lor vee".split(), " or "),
    "lt": "<",
    "gt": ">",
    "equiv": "≡",
    "pm": "±",
    "mp": "∓",
    "infty": "∞",
    "in": "∈",
    "notin": "∉",
    "cup": "∪",
    "cap": "∩",
    "setminus": "∖",
    "backslash": "∖",
    "degree": "°",
    "circ": "∘",
    "colon": ":",
    "langle": "⟨",
    "rangle": "⟩",
    "lfloor": "⌊",
    "rfloor": "⌋",
    "lceil": "⌈",
    "rceil": "⌉",
    "prime": "'",
    "lbrack": "[",
    "rbrack": "]",
    "lparen": "(",
    "rparen": ")",
    "percent": "%",
    "imath": "i",
    "angle": "∠",
    "triangle": "△",
    "forall": "∀",
    "exists": "∃",
    "sim": "~",
}
_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("−–—‐‑‒﹣－", "-"),
        **dict.fromkeys("×⋅·∙•∗✕", "*"),
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u2061\u2062", ""),
        **dict.fromkeys("’′`", "'"),
        **dict.fromkeys("“”", '"'),
        "⩽": "≤",
        "⩾": "≥",
        "≦": "≤",
        "≧": "≥",
        "ø": "∅",
        "⋯": "…",
        "∣": "|",
        "º": "°",
        "˚": "°",
        "ϵ": "ε",
        "ϕ": "φ",
        "，": ",",
        "；": ";",
        "：": ":",
        "（": "(",
        "）": ")",
        "。": ".",
        "∶": ":",
        "𝑖": "i",
        "𝑒": "e",
        "∞": "∞",
    }
)
_SUPERSCRIPT = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPT = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n", strict=True))
_RAISED = re.compile(f"[{''.join(_SUPERSCRIPT)}]+")
_LOWERED = re.compile(f"[{''.join(_SUBSCRIPT)}]+")
_ROOTS = {"√": "2", "∛": "3", "∜": "4"}
_ROOT = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?|[A-Za-zπ]|(?=[({]))")

_DELIMITER = re.compile(r"\\[()]|(?<!\\)\\[\[\]]|\$")
_CURRENCY = re.compile(r"\\\$|[€£¥₹]")
_CURRENCY_NAMES = {"RS": "rupees", "INR": "rupees", "EUR": "euros", "GBP": "pounds", "JPY": "yen", "RMB": "yuan"}
_CURRENCY_NAME = re.compile(r"\s*(Rs\.?|INR|EUR|GBP|JPY|RMB|USD|US\s?\\?\$)\s?(?=\d)", re.IGNORECASE)
_LONE_DOLLAR = re.compile(r"^\s*-?\s*\$(?=[\d.])")
_FONT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|mathrm|mathbf|mathit|mathsf|mathtt|mathcal|mathbb|mbox|hbox"
    r"|boldsymbol|bm|emph|operatorname\*?|underline|vec|hat|mathop|ensuremath)\s*\{([^{}]*)\}"
)
_FONT_SWITCH = re.compile(r"\{\s*\\(?:rm|bf|it|sf|cal)(?![A-Za-z])\s*([^{}]*)\}")
_SPACE_WITH_LENGTH = re.compile(r"\\[hv]space\*?\s*\{[^{}]*\}|\\(?:phantom|color|label|tag)\s*\{[^{}]*\}")
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?")
_SMALL_SPACE = re.compile(r"(?<!\\)\\[,;:> ]|~|\\$")
_ESCAPED = re.compile(r"\\([%#&_])")
_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3})((?:(?:\{,\}|\{ \}|[ '_])\d{3})+)(?![\d'])")
_MIXED = re.compile(r"(?<![\d./])(\d{1,9}) (\d{1,9})/(\d{1,9})(?![\d./])")
_DOT_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:\.\d{3})+(?=,\d))(,\d+)?(?![\d.,])")
_DEGREES = re.compile(r"\^\s*\{?\s*∘\s*\}?|\\degree")
_NAMED = re.compile(r"(?<![A-Za-z\\])(?:np|math|numpy)\.(?=[a-z])")
_TIMES = re.compile(r"(\d)\s*[xX]\s*(10\s*\^)")
_IN_BASE = re.compile(r"\((\d[0-9A-F]*)\)\s*_")
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5}
_AND_A = re.compile(rf"(\d) and (?:a|one)[ -]({'|'.join(_PARTS)})\b", re.IGNORECASE)
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALE = re.compile(rf"(\d)\s*({'|'.join(_SCALES)})s?\b", re.IGNORECASE)
_PYTHON_COMPLEX = re.compile(r"[\d.+\-() ]*\d\*?j[\d.+\-() ]*")
_DOTS = re.compile(r"\.\.\.+")
_SPACES = re.compile(r"\s+")
_PERCENT_WORD = re.compile(r"\s*\b(?:percent|per cent|pct)\b", re.IGNORECASE)
_SYMBOL_WORD = re.compile(rf"(?<![A-Za-z\\])(?:{'|'.join(_GREEK)}|infinity|infty|inf|oo)(?![A-Za-z])")
_NUMBER_SETS = {"R": "ℝ", "Z": "ℤ", "N": "ℕ", "Q": "ℚ", "C": "ℂ"}
_STANDS_ALONE = frozenset("eidABCDEFGHIJ")  # a single letter in upright type: a constant, a differential, a choice


def spell(answer: str) -> str:
    """The answer in the one spelling."""
    text = _characters(answer)
    text = _outer(text)
    text = _currency(text)
    text = text.replace("\\textdollar", "")
    text = _SPACE_WITH_LENGTH.sub(" ", text)
    if "\\begin" not in text:  # there, a doubled backslash ends a row
        text = text.replace("\\\\", "\\" if re.search(r"\\\\[A-Za-z]", text) else " ")
    text = text.replace(r"\{", SET_OPEN).replace(r"\}", SET_CLOSE).replace(r"\|", "|").replace("\\!", "")
    text = _ESCAPED.sub(r"\1", _SMALL_SPACE.sub(" ", text))
    text = _FONT_SWITCH.sub(r"\\text{\1}", text)
    for _ in range(4):  # fonts in fonts
        text, changed = _FONT.subn(_without_font, text)
        if not changed:
            break
    text = _COMMAND.sub(lambda match: _COMMANDS.get(match[1], match[0]), text)
    text = _DELIMITER.sub(" ", text)
    text = _DEGREES.sub("°", text)
    text = _plain(text)
    return _finish(text)


def _characters(text: str) -> str:
    """Unicode's fractions, roots, raised and lowered digits, and look-alikes."""
    text = _RAISED.sub(lambda match: "^{" + "".join(map(_SUPERSCRIPT.__getitem__, match[0])) + "}", text)
    text = _LOWERED.sub(lambda match: "_{" + "".join(map(_SUBSCRIPT.__getitem__, match[0])) + "}", text)
    text = "".join(map(_fraction, text)) if not text.isascii() else text
    text = _ROOT.sub(lambda match: f"\\sqrt[{_ROOTS[match[1]]}]" + (f"{{{match[2]}}}" if match[2] else ""), text)
    if not text.isascii():
        text = "".join(
            character if character in "…ℝℤℕℚℂ" else unicodedata.normalize("NFKC", character)
            for character in text.translate(_CHARACTERS)
        )
    return text.translate(_CHARACTERS)


def _fraction(character: str) -> str:
    """`½` as a LaTeX fraction; any other character as it is."""
    parts = unicodedata.normalize("NFKC", character).split("\u2044")
    return f"\\frac{{{parts[0]}}}{{{parts[1]}}}" if len(parts) == 2 and all(parts) else character


def _outer(text: str) -> str:
    """Without boxes, emphasis and a final full stop around the whole."""
    before = None
    while text != before and len(text) > 1:
        before = text = text.strip()
        text = text.rstrip(".").rstrip() if not text.endswith(("...", "..")) else text
        for mark in ("**", "__", "*", "'", '"'):
            if text.startswith(mark) and text.endswith(mark) and len(text) > 2 * len(mark):
                text = text[len(mark) : -len(mark)]
        box = re.match(r"\\(?:boxed|fbox|framebox)\s*\{", text)
        if box and text.endswith("}"):
            text = text[box.end() : -1]
    return text


def _currency(text: str) -> str:
    """Currency signs become a unit after the amount."""
    if _LONE_DOLLAR.match(text) and text.count("$") == 1:
        text = text.replace("$", r"\$")
    if name := _CURRENCY_NAME.match(text):
        return text[name.end() :] + " " + _CURRENCY_NAMES.get(name[1].rstrip(".").upper(), "dollars")
    sign = _CURRENCY.search(text)
    if sign is None:
        return text
    return (
        _CURRENCY.sub("", text) + " " + {"€": "euros", "£": "pounds", "¥": "yen", "₹": "rupees"}.get(sign[0], "dollars")
    )


def _without_font(match: re.Match[str]) -> str:
    """What stands in the font; a word gets spaces, so that it is no product with its neighbours."""
    content = match[1]
    if "mathbb" in match[0]:
        return _NUMBER_SETS.get(content.strip(), content)
    if content.strip() in FUNCTIONS:
        return "\\" + content.strip() + " "
    if "vec" in match[0] or "hat" in match[0] or not any(map(str.isalpha, content)):
        return content
    return "{}" + content if content in _STANDS_ALONE else f" {content} "


def _plain(text: str) -> str:
    """The operators and names of plain text and of programs."""
    text = _IN_BASE.sub(r"\1_", _TIMES.sub(r"\1*\2", text))
    text = _AND_A.sub(lambda match: f"{match[1]}\\frac{{1}}{{{_PARTS[match[2].lower()]}}}", text)
    text = _SCALE.sub(lambda match: f"{match[1]}*{_SCALES[match[2].lower()]}", text)
    text = text.replace("j", "i") if _PYTHON_COMPLEX.fullmatch(text) else text
    text = _NAMED.sub("", text)
    text = text.replace("**", "^").replace("<=", "≤").replace(">=", "≥").replace("!=", "≠").replace("==", "=")
    text = text.replace("+/-", "±").replace("+-", "±") if "+-" in text or "+/-" in text else text
    text = _DOTS.sub("…", text)
    text = _PERCENT_WORD.sub("%", text)
    text = _SYMBOL_WORD.sub(lambda match: _COMMANDS.get(match[0], "∞"), text)
    return _SPACES.sub(" ", text)


def _finish(text: str) -> str:
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    text = _DOT_GROUPS.sub(lambda match: match[1].replace(".", "") + (match[2] or "").replace(",", "."), text)
    text = _GROUPS.sub(lambda match: match[1] + re.sub(r"\D", "", match[2]), text)
    text = text.replace("{,}", ",").replace("{}", "")
    return text.strip().rstrip(".,;:").strip() if not text.endswith("…") else text.strip()
