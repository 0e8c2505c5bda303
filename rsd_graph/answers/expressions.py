r"""Read one expression, as `spelling.spell` writes it, into a tree.

The whole text must be read: a reader that stops where it no longer understands takes `4 sqrt(2)` for 4. Trees are
tuples: an operation and its operands.
"""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from rsd_graph.answers.spelling import FUNCTIONS
from rsd_graph.answers.tokens import UnreadableError, in_decimal, tokens_of

Tree: TypeAlias = tuple[Any, ...]

_DEPTH = 40
_CLOSING = {"(": ")", "[": "]", "{": "}", "⌊": "⌋", "⌈": "⌉", "|": "|"}
_INFIX = (r"\over", r"\choose", r"\bmod", r"\mod")


def read_expression(text: str) -> Tree | None:
    """The tree of an expression, or None if any part of the text is not understood."""
    try:
        reader = _Reader(tokens_of(text))
        tree = reader.sum()
        return tree if reader.at_end() else None
    except UnreadableError:
        return None


def symbols(tree: Tree) -> frozenset[str]:
    """The names of the variables."""
    if tree[0] == "symbol":
        return frozenset({tree[1]})
    return frozenset().union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))


class _Reader:
    """Recursive descent over the tokens, at most `_DEPTH` deep."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._bars = 0

    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def sum(self) -> Tree:
        return self._deeper(self._sum)

    def _sum(self) -> Tree:
        tree = self._product()
        while (sign := self._peek()) in ("+", "-"):
            self._next()
            tree = ("add" if sign == "+" else "sub", tree, self._product())
        if self._peek() in (r"\over", r"\choose"):
            return ("div", tree, self.sum()) if self._next() == r"\over" else ("function", "binom", tree, self.sum())
        return tree

    def _product(self) -> Tree:
        if self._peek() == "-":  # of the whole product: -3 1/2 is -(3 1/2)
            return self._factor_of_sign()
        tree = self._factor()
        while True:
            operator = self._peek()
            if operator in ("*", "/"):
                self._next()
                tree = ("mul" if operator == "*" else "div", tree, self._factor())
            elif operator in (r"\bmod", r"\mod"):
                self._next()
                tree = ("mod", tree, self._factor())
            elif self._starts_atom(operator):
                mixed = _is_whole(tree) and operator == r"\frac"
                right = self._factor()
                tree = ("add" if mixed and _is_proper(right) else "mul", tree, right)
            else:
                return tree

    def _factor(self) -> Tree:
        sign = self._peek()
        if sign in ("+", "-"):
            self._next()
            tree = self._deeper(self._factor)
            return ("neg", tree) if sign == "-" else tree
        return self._power()

    def _factor_of_sign(self) -> Tree:
        self._next()
        return ("neg", self._deeper(self._product))

    def _deeper(self, read: Callable[[], Tree]) -> Tree:
        self._depth += 1
        if self._depth > _DEPTH:
            raise UnreadableError("too deep")
        tree = read()
        self._depth -= 1
        return tree

    def _power(self) -> Tree:
        tree = self._postfix(self._atom())
        if self._peek() == "^":
            self._next()
            tree = self._postfix(("pow", tree, self._exponent()))
        return tree

    def _exponent(self) -> Tree:
        if self._peek() in ("+", "-"):
            return ("neg", self._exponent_of("-")) if self._peek() == "-" else self._exponent_of("+")
        return self._argument() if self._peek() == "{" else self._power()

    def _exponent_of(self, sign: str) -> Tree:
        self._expect(sign)
        return self._power()

    def _postfix(self, tree: Tree) -> Tree:
        while (mark := self._peek()) in ("!", "°", "'"):
            self._next()
            if mark == "!" and self._peek() == "!":
                self._next()
                tree = ("function", "factorial2", tree)
            elif mark == "'":
                raise UnreadableError("a derivative")
            else:
                tree = ("function", "factorial", tree) if mark == "!" else ("degrees", tree)
        return tree

    def _starts_atom(self, sign: str | None) -> bool:
        return sign is not None and (
            sign[0].isalnum()
            or sign in ("(", "{", "[", "⌊", "⌈", "π", "∞")
            or (sign == "|" and self._bars == 0)
            or (sign[0] == "\\" and sign not in _INFIX)
            or (sign[0] == "." and len(sign) > 1)
        )

    def _atom(self) -> Tree:
        sign = self._next()
        if sign[0] == "\\":
            return self._command(sign)
        if sign in _CLOSING:
            return self._enclosed(sign)
        if sign[0].isdigit() or (sign[0] == "." and len(sign) > 1):
            return self._number(sign)
        if sign in ("π", "∞"):
            return ("constant", sign)
        if sign.isalpha():
            return self._symbol(sign)
        raise UnreadableError(sign)

    def _enclosed(self, opening: str) -> Tree:
        self._bars += opening == "|"
        inner = self.sum()
        self._bars -= opening == "|"
        self._expect(_CLOSING[opening])
        names = {"⌊": "floor", "⌈": "ceil", "|": "abs"}
        return ("function", names[opening], inner) if opening in names else inner

    def _number(self, sign: str) -> Tree:
        if "_" in sign:
            return ("number", in_decimal(sign))
        if "\\" in sign:
            head, tail = re.split(r"\\[a-z]+", sign)
            return ("repeating", head, tail[1:-1])
        return ("number", sign)

    def _symbol(self, sign: str) -> Tree:
        if self._peek() == "_":
            self._next()
            return ("symbol", f"{sign}_{self._subscript()}")
        if sign == "C" and self._peek() == "(" and "," in self._tokens[self._at : self._at + 8]:
            return ("function", "binom", *self._arguments())
        return ("constant", sign) if sign in ("e", "i") else ("symbol", sign)

    def _subscript(self) -> str:
        if self._peek() != "{":
            return self._next()
        start, depth = self._at, 0
        while True:
            sign = self._next()
            depth += {"{": 1, "}": -1}.get(sign, 0)
            if depth == 0:
                return "".join(self._tokens[start + 1 : self._at - 1])

    def _command(self, sign: str) -> Tree:
        name = sign[1:]
        if name == "frac":
            return ("div", self._argument(), self._argument())
        if name == "binom":
            return ("function", "binom", self._argument(), self._argument())
        if name == "sqrt":
            return self._root()
        if name in ("overline", "bar", "widehat", "overrightarrow"):
            return ("symbol", f"{name}{self._argument()}")
        if name in FUNCTIONS:
            return self._function(name)
        raise UnreadableError(sign)

    def _root(self) -> Tree:
        degree: Tree = ("number", "2")
        if self._peek() == "[":
            self._next()
            degree = self.sum()
            self._expect("]")
        return ("root", degree, self._argument())

    def _function(self, name: str) -> Tree:
        base: Tree | None = None
        power: Tree | None = None
        while (mark := self._peek()) in ("_", "^"):
            self._next()
            if mark == "^":
                power = self._argument() if self._peek() == "{" else self._power()
            else:
                base = self._argument()
        arguments = self._arguments()
        tree: Tree = ("function", name, *arguments)
        if name in ("log", "lg"):
            tree = ("log", base, *arguments) if base else ("function", name, *arguments)
        elif base:
            raise UnreadableError(name)
        if power == ("neg", ("number", "1")):
            return ("function", "arc" + name, *arguments)
        return ("pow", tree, power) if power else tree

    def _arguments(self) -> list[Tree]:
        if self._peek() in ("(", "{", "["):
            closing = _CLOSING[self._next()]
            arguments = [self.sum()]
            while self._peek() == ",":
                self._next()
                arguments.append(self.sum())
            self._expect(closing)
            return arguments
        negative = self._peek() == "-"
        if negative:
            self._next()
        tree = self._power()  # `\sin 2x` is the sine of the product, `\sin x \cos x` a product of two functions
        while self._starts_atom(sign := self._peek()) and sign not in ("(", "[", "{") and not _is_function(sign):
            tree = ("mul", tree, self._power())
        return [("neg", tree)] if negative else [tree]

    def _argument(self) -> Tree:
        r"""A group in braces, or a single token: `\frac12` is a half."""
        sign = self._peek()
        if sign == "{":
            self._next()
            tree = self.sum()
            self._expect("}")
            return tree
        if sign is not None and sign.isdecimal() and len(sign) > 1:
            self._tokens[self._at] = sign[1:]
            return ("number", sign[0])
        return self._atom()

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise UnreadableError("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise UnreadableError(f"no {sign}")
        self._next()


def _is_function(sign: str | None) -> bool:
    return sign is not None and sign != r"\sqrt" and sign.removeprefix("\\") in FUNCTIONS


def _is_whole(tree: Tree) -> bool:
    return tree[0] == "number" and str(tree[1]).isdecimal()


def _is_proper(tree: Tree) -> bool:
    return tree[0] == "div" and _is_whole(tree[1]) and _is_whole(tree[2]) and int(tree[1][1]) < int(tree[2][1])
