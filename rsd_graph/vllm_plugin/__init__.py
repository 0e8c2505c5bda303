"""The plug-in that vLLM loads if this package is installed beside it, through the entry point `vllm.general_plugins`.

It registers the architectures that reward models need and vLLM lacks; each family names its own
(`rewards.families`, `Family.vllm_architectures`):

- `Qwen2ForPrmModel`, the architecture of Skywork's PRM, so that a plain
  `vllm serve Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B` works;
- `Qwen2ForLastStepReward`, which is Qwen2.5-Math-PRM with its reward read at the last token:
  `vllm serve Qwen/Qwen2.5-Math-PRM-7B --hf-overrides '{"architectures": ["Qwen2ForLastStepReward"]}'`.

https://docs.vllm.ai/en/latest/design/plugin_system.html
"""

from rsd_graph.rewards.families import FAMILIES


def register() -> None:
    """Register the architectures. vLLM calls this in each of its processes, in some of them more than once."""
    from vllm import ModelRegistry

    for family in FAMILIES.values():
        for architecture, where in family.vllm_architectures.items():
            if architecture not in ModelRegistry.get_supported_archs():
                # by name: only the process that runs the model imports the class
                ModelRegistry.register_model(architecture, where)
