"""Leave out what a thinking model writes between its tags: it is never the answer."""

import re

TAG = re.compile(
    r"[<◁](?P<closing>/?)\s*(?:think|thinking|thought|thoughts|reasoning|seed:think)\s*[>▷]|\[(?P<closed>/?)THINK\]",
    re.IGNORECASE,
)

_OTHER_CHANNELS = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)\b.*?(?=<\|channel\|>\s*final\b|\Z)", re.DOTALL)
"""What gpt-oss writes before its final channel (https://cookbook.openai.com/articles/openai-harmony)."""


def without_thoughts(response: str) -> str:
    """The response outside of `<think>...</think>`, nested or not, and outside of gpt-oss's analysis channel.

    A closing tag without an opening one ends a thought that the prompt began; one that is never closed is cut off.
    """
    response = _OTHER_CHANNELS.sub("", response)
    kept: list[str] = []
    depth = start = 0
    for tag in TAG.finditer(response):
        if tag["closing"] or tag["closed"]:
            if depth == 0:
                kept.clear()
            depth = max(0, depth - 1)
        else:
            if depth == 0:
                kept.append(response[start : tag.start()])
            depth += 1
        start = tag.end()
    if depth == 0:
        kept.append(response[start:])
    return "\n".join(kept) if len(kept) > 1 else "".join(kept)


def after_last_thought(response: str) -> str:
    """What follows the last closing tag, whatever opened before."""
    ends = [tag.end() for tag in TAG.finditer(response) if tag["closing"] or tag["closed"]]
    return response[ends[-1] :] if ends else ""
