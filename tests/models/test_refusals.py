import json

import pytest

from rsd_graph.errors import ContextOverflowError, ModelResponseError, ModelUnavailableError
from rsd_graph.models.refusals import error_in, overflows, refusal

TOO_LONG = [
    (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4488 in the "
        "messages, 512 in the completion). Please reduce the length of the messages or completion."
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is "
        "4096 tokens and your request has 3900 input tokens (512 > 4096 - 3900)."
    ),
    (
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that "
        "`max_model_len` is no smaller than the number of text tokens."
    ),
    "The prompt (total length 25938) is too long to fit into the model (context length 4096).",
    "Input prompt (35247 tokens) is too long and exceeds limit of 1000",
    "max_tokens must be at least 1, got -904.",
    (
        "You passed 4096 input tokens and requested 512 output tokens. However, the model's context length "
        "is only 4096 tokens, resulting in a maximum input length of 3584 tokens."
    ),
    "Input length (5000) exceeds model's maximum context length (4096).",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    (
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a "
        "total of 4600 tokens: 4088 tokens from the input messages and 512 tokens for the completion."
    ),
    (
        "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens). Use a shorter input or "
        "enable --allow-auto-truncate."
    ),
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 3900 `inputs` "
        "tokens and 512 `max_new_tokens`"
    ),
    "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "request (5001 tokens) exceeds the available context size (2048 tokens), try increasing it",
    "context shift is disabled",
    "Context size has been exceeded.",
    "input is too large to process. increase the physical batch size",
    "input (9000 tokens) is larger than the max context size (4096 tokens). skipping",
    "prompt is too long: 200001 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "Prompt length (5000) should not exceed max_input_len (4096)",
    "The sum of prompt length (4000.0), query length (0) and max_tokens (512) should not exceed max_num_tokens (4096)",
    "the input length exceeds the context length",
    (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with "
        "context length of only 4096 tokens, which is not enough"
    ),
    "The number of tokens to keep from the initial prompt is greater than the context length",
    "Please reduce the length of the messages or completion.",
    "Prompt contains 33000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "The prompt is too long: 5000, model maximum context length: 4096",
    "Requested tokens (5000) exceed context window of 4096",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "prompt too long; exceeded max context length by 12 tokens",
    "Prompt length 5000 is greater than max_seq_len 4096",
    (
        "This model's maximum context length is 2048 tokens. However, your request has 8 input tokens plus "
        "2045 'max_tokens'. Please reduce one or the other."
    ),
    "Prompt has 9,000 tokens, but the configured context size is 4,096 tokens",
    "input tokens exceed the configured limit of 4096 tokens",
    "Range of input length should be [1, 30720]",
    "The total number of tokens (5000) exceeds the limit 4096",
    "inputs tokens (600) must have less than 512 tokens",
    "prompt token count of 5000 exceeds the limit of 4096",
    "prompt (5000 tokens) does not fit into the context",
    "failed to fit: the prompt is longer than n_ctx",
    "inputs too long, session_len 8192",
    "Your prompt contains 9000 tokens; the limit is 8192 tokens.",
    "The total length of the prompt exceeds the KV cache",
]
"""What vLLM, SGLang, llama.cpp, TGI, TensorRT-LLM, LM Studio, Ollama and gateways say of a prompt that is too long."""

SOMETHING_ELSE = [
    "The request queue is longer than the maximum allowed",
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "EngineCore encountered an issue. See stack trace (above) for the root cause.",
    "EngineDeadError: EngineCore died unexpectedly",
    "context deadline exceeded",
    "context canceled",
    "Request timed out: context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
    "upstream request failed: context deadline exceeded while waiting for the model",
    "max_tokens must be at least 1, got 5",
    "max_tokens should be positive",
    "logprobs exceeds the maximum of 20",
    "temperature must be in [0, 2]",
    "Rate limit reached: tokens per minute (TPM): Limit 30000, Requested 40000",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: invalid device context",
    "failed to create a context for the model",
    "Internal Server Error",
    "the model qwen does not exist",
    "stop must be non-empty",
    "Maximum number of concurrent requests exceeded",
    "Failed to decode the batch: KV cache is full",
    "input text is empty",
    "n must be at most 1",
    "failed to process the request: device context lost",
    "Request body is not valid JSON",
    "The prompt is longer than expected and the worker crashed",
    "prompt must be a string",
    "request queue is full: too many requests",
    "Token limit for this API key exceeded",
    "context window is being initialized",
    "CUDA out of memory: decrease max_model_len, the maximum context length is 4096",
]
"""What they say of other troubles, some with the same words."""


@pytest.mark.parametrize("status", [200, 400, 413, 422, 500, 503])
def test_an_overflow_is_recognized_whatever_its_status(status: int) -> None:
    """By its wording; servers and gateways disagree on the status."""
    for message in TOO_LONG:
        error = refusal(status, json.dumps({"error": {"message": message}}), "http://host/x")
        assert isinstance(error, ContextOverflowError), message


@pytest.mark.parametrize("status", [400, 422, 500])
def test_other_troubles_are_no_overflow(status: int) -> None:
    """A run must not end quietly because a server crashed."""
    for message in SOMETHING_ELSE:
        assert not isinstance(refusal(status, message, "http://host/x"), ContextOverflowError), message


def test_a_crash_stays_a_failure() -> None:
    """A 500 that is no overflow counts against the attempts at this request."""
    error = refusal(500, json.dumps({"error": "EngineCore died unexpectedly"}), "http://host/x")
    assert isinstance(error, ModelUnavailableError)
    assert error.failing


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_some_statuses_speak_of_something_else(status: int) -> None:
    """A limit of tokens a minute is no context."""
    assert not overflows(status, "too many tokens: the maximum context length is 5")


def test_the_kind_of_an_error_is_enough() -> None:
    """llama.cpp and OpenAI name it beside the message; 413 needs no words."""
    for error in ({"type": "exceed_context_size_error"}, {"code": "context_length_exceeded"}):
        assert isinstance(refusal(400, json.dumps({"error": {"message": "no", **error}}), "x"), ContextOverflowError)
    assert isinstance(refusal(413, "<html>Request Entity Too Large</html>", "x"), ContextOverflowError)


def test_the_prompt_in_an_error_is_not_read() -> None:
    """FastAPI repeats the input, whose text may speak of anything."""
    detail = [{"loc": ["body"], "msg": "field required", "input": "the maximum context length is 5"}]
    error = refusal(422, json.dumps({"detail": detail}), "http://host/x")
    assert not isinstance(error, ContextOverflowError)
    assert str(error) == "http://host/x answered 422: field required"


def test_an_error_may_come_as_a_success() -> None:
    """OpenAI's form and vLLM's older one; the status that the body names is the one that counts."""
    assert error_in({"error": {"message": "no"}})
    assert error_in({"object": "error", "message": "no", "code": 400})
    assert not error_in({"content": "x", "error": None})
    assert isinstance(refusal(200, json.dumps({"error": {"message": "busy", "code": 503}}), "x"), ModelUnavailableError)
    assert type(refusal(200, json.dumps({"error": "no"}), "x")) is ModelResponseError
