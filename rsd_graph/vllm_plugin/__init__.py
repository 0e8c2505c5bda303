"""The plug-in that vLLM loads if this package is installed beside it, through the entry point `vllm.general_plugins`.

It registers two architectures that vLLM lacks (`rsd_graph.vllm_plugin.architectures`):

- `Qwen2ForPrmModel`, the architecture of Skywork's PRM, so that a plain
  `vllm serve Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B` works;
- `Qwen2ForLastStepReward`, which is Qwen2.5-Math-PRM with its reward read at the last token:
  `vllm serve Qwen/Qwen2.5-Math-PRM-7B --hf-overrides '{"architectures": ["Qwen2ForLastStepReward"]}'`.

https://docs.vllm.ai/en/latest/design/plugin_system.html
"""


def register() -> None:
    """Register the architectures. vLLM calls this in each of its processes, in some of them more than once."""
    from vllm import ModelRegistry

    for architecture in ("Qwen2ForPrmModel", "Qwen2ForLastStepReward"):
        if architecture not in ModelRegistry.get_supported_archs():
            # by name: only the process that runs the model imports the class
            ModelRegistry.register_model(architecture, f"rsd_graph.vllm_plugin.architectures:{architecture}")
