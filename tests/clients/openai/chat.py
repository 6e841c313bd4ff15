"""The official client for Python against the host; see README.md."""

import json
import os
import sys
import traceback

import openai

BASE_URL = os.environ["CHAT_URL"]
client = openai.OpenAI(base_url=BASE_URL, api_key=os.environ["CHAT_API_KEY"])
failed = 0


def check(name):
    def run(work):
        global failed
        try:
            work()
            print(f"ok {name}")
        except Exception:
            failed += 1
            print(f"FAILED {name}: {traceback.format_exc()}")

    return run


def same(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def fails(work, kind, status, code):
    try:
        work()
    except kind as error:
        same((getattr(error, "status_code", None), error.code), (status, code))
        return error
    raise AssertionError(f"it did not fail with {kind.__name__}")


def complete(text, by=client, **more):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}
    return by.chat.completions.create(**body)


@check("plain")
def _():
    completion = complete("plain")
    same(completion.choices[0].message.content, "Hello there")
    same(completion.usage.total_tokens, 12)


@check("streamed")
def _():
    parts = [chunk.choices[0].delta.content for chunk in complete("streamed", stream=True)]
    same(parts, ["Hello", " there", " \U0001f642"])


@check("stream left early")
def _():
    with complete("endless", stream=True) as stream:
        same(next(iter(stream)).choices[0].delta.content, "more")


@check("tool calls")
def _():
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    (call,) = complete("tools", tools=tools).choices[0].message.tool_calls
    same((call.function.name, json.loads(call.function.arguments)), ("weather", {"city": "Paris"}))


@check("models")
def _():
    same([model.id for model in client.models.list()], ["openai/gpt-4o", "openai/gpt-4o-mini"])


@check("unknown model")
def _():
    error = fails(lambda: complete("x", model="claude"), openai.BadRequestError, 400, "unknown_model")
    same(error.param, "model")


@check("no messages")
def _():
    error = fails(lambda: complete("x", messages=[]), openai.BadRequestError, 400, "invalid_field")
    same(error.param, "messages")


@check("wrong key")
def _():
    stranger = openai.OpenAI(base_url=BASE_URL, api_key="tvr_nonsense")
    fails(lambda: complete("x", by=stranger), openai.AuthenticationError, 401, "unauthorized")


@check("path that is not there")
def _():
    fails(lambda: client.embeddings.create(model="x", input="x"), openai.NotFoundError, 404, "not_found")


@check("refused credential, asked once")
def _():
    error = fails(lambda: complete("refused"), openai.InternalServerError, 502, "upstream_auth")
    assert "openai_api_key" in error.message, error


@check("rate limit")
def _():
    patient = client.with_options(max_retries=0)
    error = fails(lambda: complete("limited", by=patient), openai.RateLimitError, 429, "rate_limit_exceeded")
    same(error.response.headers["retry-after"], "90")


@check("broken stream")
def _():
    parts = []

    def read():
        for chunk in complete("broken", stream=True):
            parts.append(chunk.choices[0].delta.content)

    error = fails(read, openai.APIError, None, "upstream_error")
    same(parts, ["Hello"])
    assert "broke off" in error.message, error


sys.exit(1 if failed else 0)
