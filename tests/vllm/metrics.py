"""What a vLLM server says of itself."""

import re

import httpx2

NAMES = {
    "prompt": r"vllm:prompt_tokens_total",
    "computed": r'vllm:prompt_tokens_by_source_total(?=.*source="local_compute")',
    "cached": r"vllm:prompt_tokens_cached_total",
    "completion": r"vllm:generation_tokens_total",
}


def counters(url: str) -> dict[str, int]:
    """Tokens since the server started: `prompt` and of these `computed` and `cached`, and `completion`."""
    text = httpx2.get(f"{url}/metrics", trust_env=False).text
    return {
        name: int(sum(float(value) for value in re.findall(rf"^{pattern}\{{.*\}} (\S+)$", text, re.MULTILINE)))
        for name, pattern in NAMES.items()
    }
