"""Shows what a server writes, piece by piece, to the sink of the call."""

from rsd_graph.models.characters import require_plausible
from rsd_graph.text_sink import TextSink


class Written:
    """The text that one attempt has written. Each attempt has its own: a repeated request starts over.

    Args:
        sink: Gets the whole text after each piece; None if nobody is to see it.
        limit: Tokens that were asked for.
        where: The endpoint, for errors.
    """

    def __init__(self, sink: TextSink | None, limit: int, where: str) -> None:
        self.text = ""
        self._sink = sink
        self._limit = limit
        self._where = where

    def add(self, piece: str) -> None:
        """The server has written this.

        Raises:
            ModelResponseError: it writes more than it was asked for; so far, nothing that is too much was shown.
        """
        if not piece:
            return
        self.text += piece
        require_plausible(self.text, self._limit, self._where)
        if self._sink is not None:
            self._sink(self.text)
