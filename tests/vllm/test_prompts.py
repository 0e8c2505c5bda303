"""The prompt that is sent as text has, in a real vLLM, the ids that define it."""

from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from rsd_graph import RSDSettings
from rsd_graph._internal import background
from rsd_graph.models.http import ModelServer, to_openai
from rsd_graph.models.vllm import VLLM
from tests.models.odd import ODD
from tests.vllm.checkpoints import checkpoint
from tests.vllm.conftest import serving

ENDS = ("", "\n\n", ".\n\n")


class _Choice(BaseModel):
    prompt_token_ids: list[int]


class Echo(BaseModel):
    choices: list[_Choice]


@pytest.mark.parametrize("name", ["smollm2", "draft"])
def test_text_and_ids_are_the_same_prompt(name: str, tmp_path: Path) -> None:
    """SmolLM2's and Qwen's tokenizers, on odd content on both sides of the seam."""

    async def run(url: str) -> tuple[int, int]:
        model, server = VLLM(url), ModelServer(url)
        sent = asked = 0
        for index, odd in enumerate(ODD):
            chat = to_openai([HumanMessage(f"What is {odd}{index}?{odd}")])
            rendered = await model._prompts.rendered(chat)
            for end in ENDS:
                response = f"{odd}So we add {index}{end}{odd}"
                text = await model._prompts.text(chat, rendered, response)
                asked += 1
                if text is None:
                    continue
                sent += 1
                body = {"model": (await model._served.card()).id, "prompt": text, "max_tokens": 1}
                body |= {"add_special_tokens": False, "return_token_ids": True}
                read = (await server.post("/v1/completions", body, Echo)).choices[0].prompt_token_ids
                assert read == await model._prompts.ids(rendered, response), (odd, end)
        await model.generate([HumanMessage("2+2?")], "First.\n\n", settings=RSDSettings(max_step_tokens=4))
        await server.aclose()
        await model.aclose()
        return sent, asked

    with serving(checkpoint(name), tmp_path, role="draft") as url:
        sent, asked = background.run(run(url))
    print(f"{name}: {sent} of {asked} prompts as text")
    assert sent > asked / 2
