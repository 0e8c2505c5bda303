"""Calls of models and rewards as runs in a trace: LangSmith and OpenTelemetry show names and tokens under each node.

Models here are no LangChain chat models, so nobody else would report them. Only tracers are told: those who stream
messages or events see what is kept, and nothing that a draft merely proposes. Without a tracer, a call costs a look at
the configuration.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, BaseCallbackManager
from langchain_core.callbacks.manager import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer

from rsd_graph.reply import token_counts
from rsd_graph.settings import RSDSettings
from rsd_graph.state import Generation, Score

PROVIDER = "rsd-graph"
"""Of a model that names no provider."""

T = TypeVar("T", bound=Generation | Score)


async def traced(
    model: Any,
    role: str,
    messages: Sequence[BaseMessage],
    call: Callable[[], Awaitable[T]],
    *,
    settings: RSDSettings | None = None,
    candidate: str | None = None,
) -> T:
    """What the call returns; a tracer of the node that runs now sees it as a call of a language model.

    Args:
        model: Its `name` is `ls_model_name`, and its `provider`, if it has one, is `ls_provider`. One whose
            `traces_itself` is true is left alone: LangChain reports its calls.
        role: "draft", "target" or "reward"; the run has it as its metadata's `rsd_role`.
        messages: What the model is asked.
        call: Makes the call.
        settings: Of the call: its temperature and token limit are reported.
        candidate: The step that a reward is asked about; it follows the messages.
    """
    manager = None if getattr(model, "traces_itself", False) else _tracers()
    if manager is None:
        return await call()
    asked = [*messages, *([] if candidate is None else [AIMessage(candidate)])]
    run = await _started(manager, model, role, asked, settings)
    try:
        result = await call()
    except BaseException as error:
        await run.on_llm_error(error)
        raise
    await run.on_llm_end(LLMResult(generations=[[ChatGeneration(message=_said(result, str(model.name)))]]))
    return result


def _tracers() -> AsyncCallbackManager | None:
    """Those tracers that follow the node which runs now; None if there are none."""
    callbacks = (var_child_runnable_config.get() or {}).get("callbacks")
    if not isinstance(callbacks, BaseCallbackManager):
        return None
    tracers: list[BaseCallbackHandler] = [
        each for each in callbacks.handlers if isinstance(each, BaseTracer | AsyncBaseTracer)
    ]
    if not tracers:
        return None
    return AsyncCallbackManager(
        tracers, parent_run_id=callbacks.parent_run_id, tags=callbacks.tags, metadata=callbacks.metadata
    )


async def _started(
    manager: AsyncCallbackManager, model: Any, role: str, messages: list[BaseMessage], settings: RSDSettings | None
) -> AsyncCallbackManagerForLLMRun:
    name = str(model.name)
    parameters = (
        {}
        if settings is None
        else {"temperature": settings.temperature, "max_tokens": settings.max_step_tokens, "seed": settings.seed}
    )
    manager.add_metadata(
        {
            "ls_provider": getattr(model, "provider", PROVIDER),
            "ls_model_name": name,
            "ls_model_type": "chat",
            "rsd_role": role,
            **({} if settings is None else {"ls_temperature": settings.temperature}),
        }
    )
    (run,) = await manager.on_chat_model_start(
        {"name": role}, [messages], invocation_params={"model": name, **parameters}, name=role
    )
    return run


def _said(result: Generation | Score, name: str) -> AIMessage:
    text = result.text if isinstance(result, Generation) else f"reward {result.reward:.4g}"
    return AIMessage(text, usage_metadata=token_counts(result.usage), response_metadata={"model_name": name})
