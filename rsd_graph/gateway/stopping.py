"""OpenAI's `stop`: the response ends before the first of some texts, wherever its pieces are cut."""

from collections.abc import Sequence


class StopTexts:
    """Lets a text through until one of the stop texts begins.

    Args:
        texts: The stop texts, none of them empty.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.found = False
        """Whether one has appeared: nothing is let through any more."""
        self._texts = texts
        self._held = ""

    def feed(self, text: str) -> str:
        """What may be shown now: all but an end that may be the beginning of a stop text."""
        if self.found or not self._texts:
            return "" if self.found else text
        self._held += text
        starts = [start for each in self._texts if (start := self._held.find(each)) >= 0]
        if starts:
            self.found = True
            shown, self._held = self._held[: min(starts)], ""
            return shown
        cut = len(self._held) - max(overlap(self._held, each) for each in self._texts)
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def end(self) -> str:
        """What was held back, once nothing follows it."""
        shown, self._held = self._held, ""
        return shown


def overlap(text: str, stop: str) -> int:
    """The length of the longest end of the text with which `stop` begins."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)
