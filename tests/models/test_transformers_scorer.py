"""On small checkpoints with random weights, made here and read from their folders."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    PreTrainedTokenizerFast,
    StableLmConfig,
    StableLmForCausalLM,
    StableLmForSequenceClassification,
)

from rsd_graph import TokenUsage
from rsd_graph.errors import ContextOverflowError, RewardError, WeightsError
from rsd_graph.models.transformers_scorer import TransformersScorer

WORDS = ["<s>", "user", "assistant", "one", "two", "three", "four", "?"]
TEMPLATE = (
    "{% for m in messages %}{{ m.role + ' ' + m.content + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant{% endif %}"
)
TOKENS = [1, 3, 4, 5]


def save(folder: Path, kind: Any, **options: Any) -> Any:
    """A model of this class, saved with its tokenizer."""
    torch.manual_seed(0)
    config = StableLmConfig(  # transformers reads its tokenizer as it was saved, and not by a class of its own
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=8,
        pad_token_id=0,
        **options,
    )
    model = kind(config).eval()
    model.save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="?")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return model


def test_the_head_is_read_at_the_last_token(tmp_path: Path) -> None:
    """As the checkpoint's own class computes it, without any activation."""
    model = save(tmp_path, StableLmForSequenceClassification, num_labels=2)
    scorer = TransformersScorer(tmp_path, dtype="float32")
    reading = asyncio.run(scorer.head(TOKENS))
    expected = model(torch.tensor([TOKENS])).logits[0].tolist()
    assert reading.values == pytest.approx(expected, abs=1e-5)
    assert reading.usage == TokenUsage(prompt=4)
    with pytest.raises(RewardError, match="is not a language model"):
        asyncio.run(scorer.label_logprobs(TOKENS, [1]))


def test_labels_are_the_next_tokens_log_probabilities(tmp_path: Path) -> None:
    """As the language model itself predicts them, in the order asked for."""
    model = save(tmp_path, StableLmForCausalLM)
    scorer = TransformersScorer(tmp_path, dtype="float32")
    reading = asyncio.run(scorer.label_logprobs(TOKENS, [6, 2]))
    expected = model(torch.tensor([TOKENS])).logits[0, -1].log_softmax(-1)
    assert reading.values == pytest.approx([expected[6].item(), expected[2].item()], abs=1e-5)
    with pytest.raises(RewardError, match="has no reward head"):
        asyncio.run(scorer.head(TOKENS))


def test_texts_and_chats_are_encoded(tmp_path: Path) -> None:
    """With the tokenizer's special tokens only on request."""
    save(tmp_path, StableLmForCausalLM)
    scorer = TransformersScorer(tmp_path)
    assert asyncio.run(scorer.encode("one two")) == [3, 4]
    assert asyncio.run(scorer.encode("one two", special_tokens=True)) == [0, 3, 4]
    turns: Any = [{"role": "user", "content": "three"}]
    assert asyncio.run(scorer.chat(turns, generation_prompt=True))[-1] == 2
    assert asyncio.run(scorer.chat(turns, generation_prompt=False))[-1] == 5


def test_a_prompt_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """A model that only reads may fill its whole context."""
    save(tmp_path, StableLmForSequenceClassification, num_labels=1)
    scorer = TransformersScorer(tmp_path, dtype="float32")
    asyncio.run(scorer.head([1] * 8))
    with pytest.raises(ContextOverflowError, match="has 9 tokens"):
        asyncio.run(scorer.head([1] * 9))


def test_a_closed_model_loads_again(tmp_path: Path) -> None:
    """Closing frees it; the next call loads it anew."""
    save(tmp_path, StableLmForSequenceClassification, num_labels=1)
    scorer = TransformersScorer(tmp_path, dtype="float32")
    asyncio.run(scorer.start())
    first = asyncio.run(scorer.head(TOKENS))
    asyncio.run(scorer.aclose())
    assert asyncio.run(scorer.head(TOKENS)) == first


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    """When the scorer starts."""
    with pytest.raises(WeightsError, match=f"cannot load the reward model {tmp_path}"):
        asyncio.run(TransformersScorer(tmp_path).start())
