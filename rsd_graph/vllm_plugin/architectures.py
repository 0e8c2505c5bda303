"""Reward model architectures for vLLM. Only vLLM's own processes import this file.

Both support two pooling tasks, of which a server runs one. `classify`, the default, returns the head's output at the
last token, and uses the prefix cache. `token_classify` (`--pooler-config '{"task": "token_classify"}'`) returns it at
every token, so that one call scores all steps, but computes the whole prompt every time.
"""

from collections.abc import Iterable

import torch
from torch import nn
from vllm.config import VllmConfig
from vllm.model_executor.layers.linear import ReplicatedLinear
from vllm.model_executor.layers.pooler import DispatchPooler
from vllm.model_executor.models.interfaces import SupportsLoRA, SupportsPP
from vllm.model_executor.models.qwen2 import Qwen2Model
from vllm.model_executor.models.qwen2_rm import Qwen2RewardBaseModel
from vllm.model_executor.models.utils import AutoWeightsLoader, maybe_prefix
from vllm.sequence import IntermediateTensors


class Qwen2ForLastStepReward(Qwen2RewardBaseModel):
    """Qwen2.5-Math-PRM: vLLM's own model, which can also be pooled at the last token."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        vllm_config.model_config.hf_config.num_labels = 2
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        self.pooler = DispatchPooler.for_seq_cls(vllm_config.model_config.pooler_config)


class Qwen2ForPrmModel(nn.Module, SupportsLoRA, SupportsPP):
    """Skywork-o1-Open-PRM: a Qwen2 backbone, and one linear value head on its normalised last hidden state."""

    is_pooling_model = True
    hf_to_vllm_mapper = Qwen2Model.hf_to_vllm_mapper
    packed_modules_mapping = Qwen2RewardBaseModel.packed_modules_mapping

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config
        config.num_labels = 1
        self.model = Qwen2Model(vllm_config=vllm_config, prefix=maybe_prefix(prefix, "model"))
        self.v_head = nn.Module()
        self.v_head.summary = ReplicatedLinear(
            config.hidden_size, 1, params_dtype=vllm_config.model_config.head_dtype, return_bias=False
        )
        self.pooler = DispatchPooler.for_seq_cls(vllm_config.model_config.pooler_config, classifier=self.v_head.summary)
        self.make_empty_intermediate_tensors = self.model.make_empty_intermediate_tensors

    def embed_input_ids(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Token embeddings; part of vLLM's model interface."""
        return self.model.embed_input_ids(input_ids)

    def forward(
        self,
        input_ids: torch.Tensor | None,
        positions: torch.Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor | IntermediateTensors:
        """Hidden states [tokens, hidden size]; the pooler's classifier is the head."""
        return self.model(input_ids, positions, intermediate_tensors, inputs_embeds)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Load a checkpoint, without the language model's head that it also contains."""
        return AutoWeightsLoader(self, ignore_unexpected_prefixes=["lm_head."]).load_weights(weights)
