"""The input of a run as forms show it: to an agent that calls the graph as a tool, and in Studio."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class RSDForm(BaseModel):
    """The input of a run: a problem, with the conversation before it if there is one."""  # shown to those who call

    # of the `TypedDict`, LangChain would require every key, with all kinds of messages
    problem: str = Field(description="The question to answer.")
    history: list[Any] | None = Field(
        default=None, description="Earlier messages, oldest first, each with `role` and `content`."
    )


class FormMessage(BaseModel):
    """A message of the conversation."""

    type: Literal["human", "ai", "system"] = "human"
    content: str


class StudioForm(BaseModel):
    """A problem, with the conversation before it if there is one; or a conversation, whose last message asks."""

    problem: str | None = Field(default=None, description="The question to answer.")
    history: list[FormMessage] | None = Field(default=None, description="Earlier messages, oldest first.")
    messages: list[FormMessage] | None = Field(
        default=None, description="A conversation in place of both: the last human message is the problem."
    )
