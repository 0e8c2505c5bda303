"""Forked children have connections, loops and locks of their own, and never touch the parent's."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from rsd_graph import Generation, RSDSettings
from rsd_graph._internal import background
from rsd_graph.errors import ModelError
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp, LlamaCpp
from rsd_graph.models.vllm import VLLM
from rsd_graph.rewards import process_reward
from rsd_graph.rewards.judge import JudgeReward, served_judge
from tests.conftest import FakeServer

SECONDS = 30


def in_a_child(work: Callable[[], str]) -> str:
    """What the work returns in a forked child, which then exits as any program does."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        try:
            os.write(writing, work().encode())
        except BaseException as error:  # noqa: BLE001  # the parent tells
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        said = answers.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return said


def echoing(server: FakeServer) -> None:
    """Each answer is the request's own prompt, after a moment in which others can come between."""

    def echo(body: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.01)
        return {
            "choices": [{"text": body["prompt"], "finish_reason": "stop", "stop_reason": None}],
            "content": body["prompt"],
            "stop_type": "eos",
        }

    server.answer("/v1/models", {"data": [{"id": "m"}]})
    server.answer("/v1/completions", echo)
    server.answer("/completion", echo)
    server.answer("/apply-template", lambda body: {"prompt": body["messages"][-1]["content"]})


def clients(server: FakeServer) -> list[VLLM | LlamaCpp]:
    return [VLLM(server.url, template=lambda messages: messages[-1].text), LlamaCpp(server.url)]


def say(model: Any, text: str) -> str:
    (step,) = background.run(model.generate([HumanMessage(text)], "", settings=RSDSettings()))
    return str(step.text)


def said(model: Any, who: str, times: int) -> str:
    """Whether every answer was to the own question."""
    return str([text for i in range(times) if (text := say(model, f"{who} {i}")) != f"{who} {i}"])


@pytest.mark.parametrize("index", [0, 1])
def test_parent_and_children_never_read_each_others_answers(server: FakeServer, index: int) -> None:
    """All ask at once, with the client that the parent used before."""
    echoing(server)
    model = clients(server)[index]
    say(model, "first")
    errors: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: errors.append(in_a_child(lambda: said(model, f"child {n}", 5))))
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    assert said(model, "parent", 15) == "[]"
    for thread in threads:
        thread.join()
    assert errors == ["[]"] * 3
    background.run(model.aclose())


def test_a_pool_that_forks_can_use_the_parents_client(server: FakeServer) -> None:
    """`multiprocessing` forks by default on Linux; the parent's connections survive its children's end."""
    echoing(server)
    model = clients(server)[0]
    say(model, "first")
    _inherited.append(model)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        texts = [f"question {i}" for i in range(6)]
        assert pool.map_async(ask_the_inherited, texts).get(SECONDS) == texts
    assert said(_inherited.pop(), "parent", 3) == "[]"
    background.run(model.aclose())


_inherited: list[Any] = []


def ask_the_inherited(text: str) -> str:
    return say(_inherited[-1], text)


def test_a_fork_in_the_middle_of_a_request_disturbs_nobody(server: FakeServer) -> None:
    """The child closes and drops what it inherited; the parent's answer still comes, and over the same connection."""
    echoing(server)
    answered = threading.Event()

    def late(body: dict[str, Any]) -> dict[str, Any]:
        answered.wait(SECONDS)
        return {"content": body["prompt"], "stop_type": "eos"}

    server.answer("/completion", late)
    model = clients(server)[1]
    texts: list[str] = []
    asking = threading.Thread(target=lambda: texts.append(say(model, "parent")))
    asking.start()
    while not server.bodies("/completion"):
        time.sleep(0.01)
    assert in_a_child(lambda: str(background.run(model.aclose()))) == "None"
    answered.set()
    asking.join(SECONDS)
    assert texts == ["parent"]
    assert len(server.bodies("/completion")) == 1
    background.run(model.aclose())


def judged(server: FakeServer) -> None:
    """Every step is right, says the judge."""
    top = [{"token": "Yes", "logprob": -0.1}]
    message = {"role": "assistant", "content": ""}
    choice = {"index": 0, "message": message, "logprobs": {"content": [{"top_logprobs": top}]}}
    server.answer("/v1/chat/completions", {"choices": [choice]})


def score(reward: Any) -> str:
    (verdict,) = asyncio.run(reward.score([HumanMessage("2+2?")], [], [Generation("4", "eos")]))
    return str(verdict.reward)


def test_rewards_start_fresh_in_a_child(server: FakeServer) -> None:
    """A process reward model and a judge, both used before."""
    server.answer("/v1/models", {"data": [{"id": "m"}]})
    server.answer("/tokenize", {"tokens": [7]})
    server.answer("/classify", {"data": [{"probs": [0.0]}], "usage": {}})
    judged(server)
    rewards: list[tuple[Any, str]] = [
        (process_reward(server.url, kind="skywork"), "0.5"),
        (served_judge(server.url, model="m"), "1.0"),
    ]
    for reward, expected in rewards:
        assert [score(reward), in_a_child(partial(score, reward)), score(reward)] == [expected] * 3
        asyncio.run(reward.aclose())


def test_a_chat_model_of_the_parents_is_refused(server: FakeServer) -> None:
    """One that is not ours keeps the parent's locks: the child is told to make its own, and the parent's works on."""
    judged(server)
    client = openai.DefaultAsyncHttpxClient()
    key = SecretStr("none")
    chat = ChatOpenAI(base_url=f"{server.url}/v1", api_key=key, model="m", max_retries=0, http_async_client=client)
    reward = JudgeReward(chat, close=client.aclose)
    assert score(reward) == "1.0"
    assert in_a_child(lambda: score(reward)).startswith("ModelError: judge: its chat model was used before")
    assert score(reward) == "1.0"
    asyncio.run(reward.aclose())


PROGRAM = """
import os, signal, sys
from functools import partial
from pathlib import Path
from langchain_core.messages import HumanMessage
from rsd_graph import RSDSettings
from rsd_graph._internal import background
from rsd_graph.models.llamacpp import EmbeddedLlamaCpp

def say(model):
    return background.run(model.generate([HumanMessage("hi")], "", settings=RSDSettings(max_step_tokens=2)))[0].text

model = EmbeddedLlamaCpp(Path(sys.argv[1]), slots=1, context=256, threads=1)
child = os.fork()  # before any use
if not child:
    signal.alarm(30)
    print(len(say(model)) > 0, flush=True)
    sys.exit()
os.waitpid(child, 0)
before = say(model)
child = os.fork()
if not child:
    signal.alarm(30)
    try:
        say(model)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    background.run(model.aclose())
    sys.exit(3)  # an ordinary end, which destroys what there is
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), say(model) == before, flush=True)
background.run(model.aclose())
"""


def test_an_embedded_model_refuses_in_a_child(tiny_weights: Path) -> None:
    """Once used, its threads stay with the parent, whose model runs on. The child is told what to do, and ends.

    Before any use, the model is but a description, and a child may load it.
    """
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tiny_weights)], capture_output=True, text=True, check=False, timeout=60
    )
    loaded, refused, ended = result.stdout.splitlines()
    assert loaded == "True"
    assert refused.startswith("ModelError: ")
    assert '"spawn" or "forkserver"' in refused
    assert ended == "3 True"


def test_the_refusal_is_a_model_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line, with the model's name."""
    from rsd_graph.models import llamacpp

    loaded: background.PerProcess[list[str]] = background.PerProcess(list[str])
    loaded.made = (object(), ["x"])
    monkeypatch.setattr(llamacpp, "_loaded", loaded)
    with pytest.raises(ModelError, match=r"^tiny cannot run in a forked process: [^\n]*$"):
        say(EmbeddedLlamaCpp(tmp_path / "tiny.gguf"), "hi")
