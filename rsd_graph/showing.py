"""Shows a step while the target writes it. What the target writes is kept, so its text is final as it comes.

What was shown stays part of the response, whatever becomes of the call: nothing is taken back and nothing is repeated.
"""

from collections.abc import Sequence
from dataclasses import replace

from rsd_graph.events import show
from rsd_graph.next_step import blanks_at_end
from rsd_graph.state import Generation, Step, join_steps, prefix


class Showing:
    """A step that is being written.

    Args:
        steps: Those before it.
        delimiter: Between steps.
        message_id: Of the message that the response becomes; empty if nothing is to be shown.
        shown: What was shown of this step before, by a call that has not ended well.
    """

    def __init__(self, steps: Sequence[Step], delimiter: str, message_id: str, shown: str = "") -> None:
        self.text = shown
        """What has been shown of the step."""
        self._delimiter = delimiter
        self._message_id = message_id
        self._gap = _gap(steps, delimiter)
        self._ended = False

    @property
    def characters(self) -> int:
        """How much has been shown beyond the steps that were shown before: the step, and what parts it from them."""
        return len(self._gap) + len(self.text) if self.text else 0

    def __call__(self, text: str) -> None:
        """See `TextSink`. Text that contradicts what was shown is not shown."""
        sure = self._sure(text)
        if self._ended or not self._message_id or not sure.strip() or not sure.startswith(self.text):
            return
        grown, before = sure[len(self.text) :], "" if self.text else self._gap
        if grown:
            self.text = sure
            show(before + grown, self._message_id)

    def end(self) -> None:
        """Show no more: the call is over, even if the model does not know it."""
        self._ended = True

    def settled(self, generation: Generation) -> Generation:
        """What is kept: what the model returns at the end, as long as that is what was shown."""
        if generation.text.startswith(self.text):
            return generation
        if self.text.startswith(generation.text):  # the model has trimmed it
            return replace(generation, text=self.text)
        return replace(self.cut(), usage=generation.usage)

    def cut(self) -> Generation:
        """What was shown, as a step that a limit has cut: the next one goes on where it stopped."""
        return Generation(self.text, "length")

    def _sure(self, text: str) -> str:
        """The text without what may turn out to be the delimiter, and without the torso of a character."""
        text = text.partition(self._delimiter)[0].rstrip("\ufffd")
        sizes = range(min(len(self._delimiter) - 1, len(text)), 0, -1)
        held = next((size for size in sizes if text.endswith(self._delimiter[:size])), 0)
        return text[: len(text) - held]


def _gap(steps: Sequence[Step], delimiter: str) -> str:
    """What parts the next step from those that were shown: the delimiter, and blank steps, which wait for it."""
    shown = join_steps(steps[: len(steps) - blanks_at_end(steps)], delimiter)
    return prefix(steps, delimiter)[len(shown) :]
