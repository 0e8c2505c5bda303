"""Steps as cards: pure HTML, in which everything that a model wrote is escaped."""

from html import escape

from rsd_graph.ui.story import Card, Draft, Story
from rsd_graph.ui.texts import as_html


def card_html(card: Card, threshold: float) -> str:
    """A kept step: its author, the reward of its draft, its text, and the draft that it replaced."""
    edited = '<span class="tag">edited</span>' if card.edited else ""
    bar = reward_bar(card.reward, threshold) if card.author == "draft" else ""
    header = f'<span class="number">{card.index + 1}</span><span class="author">{card.author}</span>{edited}{bar}'
    body = _text(card.text) + _rejected(card.rejected, threshold)
    return _article(card.author, header, body, label=f"Step {card.index + 1}, by the {card.author}")


def shown_html(author: str, text: str, reward: float | None, threshold: float) -> str:
    """A step under review."""
    return _article(author, f'<span class="author">{author}</span>{reward_bar(reward, threshold)}', _text(text))


def growing_html(story: Story, node: str | None, words: str) -> str:
    """The step that is being written, or that a run left unfinished; empty if there is none."""
    drafted = story.draft
    if (node is None and drafted is None) or story.stop or story.review:
        return ""
    number, threshold = len(story.cards) + 1, story.threshold_at(len(story.cards))
    said = {"draft": "the draft writes", "score": "the reward model scores", "target": "the target writes"}
    doing = said.get(node, f"{node} works") if node else "not finished"
    text = words if node == "target" else (drafted.text if drafted else "")
    bar = reward_bar(drafted.reward, threshold) if drafted else ""
    rejected = _rejected(drafted, threshold) if drafted and node == "target" else ""
    header = f'<span class="number">{number}</span><span class="author">{escape(doing)}</span>{bar}'
    return _article(f"growing {node}" if node else "growing", header, _text(text) + rejected)


def reward_bar(reward: float | None, threshold: float) -> str:
    """A reward in [0, 1] as a bar on which the threshold is marked."""
    if reward is None:
        return '<span class="unscored">not scored</span>'
    kind = "kept" if reward >= threshold else "low"
    return (
        f'<span class="reward"><span class="bar {kind}" role="meter" aria-label="reward" aria-valuemin="0" '
        f'aria-valuemax="1" aria-valuenow="{reward:.3f}"><span class="fill" style="width:{100 * reward:.1f}%"></span>'
        f'<span class="mark" style="left:{100 * threshold:.1f}%"></span></span>{reward:.2f}</span>'
    )


def _article(kind: str, header: str, body: str, label: str = "") -> str:
    named = f' aria-label="{label}"' if label else ""
    return f'<article class="step {kind}"{named}><header>{header}</header>{body}</article>'


def _rejected(draft: Draft | None, threshold: float) -> str:
    if draft is None:
        return ""
    about = "The draft's step" + (" · given up before it was whole" if draft.given_up else "")
    bar = reward_bar(draft.reward, threshold)
    return f'<details class="rejected"><summary>{about} {bar}</summary>{_text(draft.text)}</details>'


def _text(text: str) -> str:
    return f'<div class="text">{as_html(text.strip(chr(10)))}</div>'
