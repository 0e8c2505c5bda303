"""What vLLM loads when this package is installed beside it: the entry point `vllm.general_plugins`.

It makes known two architectures that vLLM does not have (`serving.architectures`):

- `Qwen2ForPrmModel`, Skywork's, so that a bare `vllm serve Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B` works;
- `Qwen2ForLastStepReward`, Qwen2.5-Math-PRM read at the last token:
  `vllm serve Qwen/Qwen2.5-Math-PRM-7B --hf-overrides '{"architectures": ["Qwen2ForLastStepReward"]}'`.

https://docs.vllm.ai/en/latest/design/plugin_system.html
"""


def register() -> None:
    """Make the architectures known. vLLM calls this in each of its processes, in some more than once."""
    from vllm import ModelRegistry

    for architecture in ("Qwen2ForPrmModel", "Qwen2ForLastStepReward"):
        if architecture not in ModelRegistry.get_supported_archs():
            # as text: the class is imported by the process that runs the model, and by no other
            ModelRegistry.register_model(architecture, f"rsd_graph.vllm_plugin.architectures:{architecture}")
