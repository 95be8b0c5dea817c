"""The official OpenAI library against a running daemon: it must work unchanged.

    openai_client.py BASE_URL KEY [--overload N] [--rate-limit]

BASE_URL ends with /v1, KEY is a token with the scope `chat`. `--overload N` sends N questions at once and expects that some are
refused with a 503 and none with anything else; `--rate-limit` asks until it is told to slow down (it uses up this address's share
for a moment). Exits 0 when everything was as it should be; the last line is JSON.
"""

import argparse
import asyncio
import json

import openai

QUESTION = [{"role": "user", "content": "Tell me in one sentence what you are, please."}]
STEADY = {"temperature": 0, "seed": 1, "max_tokens": 48}


def check_models(client):
    models = client.models.list().data
    assert len(models) == 1, models
    assert client.models.retrieve(models[0].id).id == models[0].id
    return models[0].id


def check_completion(client, model):
    answer = client.chat.completions.create(model=model, messages=QUESTION, **STEADY)
    text = answer.choices[0].message.content
    assert text and answer.object == "chat.completion" and answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    again = client.chat.completions.create(model=model, messages=QUESTION, **STEADY)
    assert again.choices[0].message.content == text, "temperature 0 gives the same answer again"
    return text


def check_stream(client, model, whole):
    chunks = list(
        client.chat.completions.create(
            model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}, **STEADY
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(words) == whole, ("".join(words), whole)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1
    plain = list(client.chat.completions.create(model=model, messages=QUESTION, stream=True, **STEADY))
    assert all(chunk.choices and chunk.usage is None for chunk in plain)
    # a reader that goes away early closes its connection, and the daemon goes on
    with client.chat.completions.create(model=model, messages=QUESTION, stream=True, **STEADY) as stream:
        next(iter(stream))
    return len(chunks)


def check_stop(client, model, whole):
    stop = whole.split()[len(whole.split()) // 2]
    expected = whole[: whole.index(stop)]
    for form in (stop, [stop, "never said by anybody"]):
        answer = client.chat.completions.create(model=model, messages=QUESTION, stop=form, **STEADY)
        assert answer.choices[0].message.content.rstrip() == expected.rstrip(), (answer.choices[0].message.content, expected)
        assert answer.choices[0].finish_reason == "stop"


def check_forms(client, model):
    """What other programs send."""
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "And now?"},
    ]
    answer = client.chat.completions.create(
        model=model, messages=messages, max_completion_tokens=4, n=1, user="somebody", presence_penalty=0,
        response_format={"type": "text"}, extra_body={"top_k": 5, "unheard_of": True},
    )
    assert answer.usage.completion_tokens <= 4
    assert client.chat.completions.create(model="default", messages=messages, max_tokens=1).model == model


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert error.message and error.body and error.body.get("code"), error.body
        return error
    raise AssertionError(f"{kind.__name__} was expected")


def check_refusals(client, base_url, model):
    ask = client.chat.completions.create
    error = refused(openai.BadRequestError, lambda: ask(model=model, messages=QUESTION, temperature=9))
    assert error.param == "temperature", error.param
    refused(openai.BadRequestError, lambda: ask(model=model, messages=[]))
    assert refused(openai.BadRequestError, lambda: ask(model=model, messages=QUESTION, n=2)).param == "n"
    refused(openai.BadRequestError, lambda: ask(model=model, messages=QUESTION, max_tokens=0, stream=True))
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]}]
    refused(openai.BadRequestError, lambda: ask(model=model, messages=image))
    assert refused(openai.NotFoundError, lambda: ask(model="gpt-of-somebody", messages=QUESTION)).code == "model_not_found"
    for key in ("wrong", "a.b.c"):
        stranger = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)
        assert refused(openai.AuthenticationError, lambda: stranger.models.list()).code == "invalid_api_key"
        refused(openai.AuthenticationError, lambda: stranger.chat.completions.create(model=model, messages=QUESTION))


async def overload(base_url, key, model, count):
    """Some are answered, the rest are told to come back; nothing hangs and nothing else happens."""
    outcomes = {"answered": 0, "refused": 0}
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:

        async def one():
            try:
                await client.chat.completions.create(model=model, messages=QUESTION, max_tokens=16)
                outcomes["answered"] += 1
            except openai.InternalServerError as error:
                assert error.status_code == 503 and int(error.response.headers["retry-after"]) >= 1
                outcomes["refused"] += 1

        await asyncio.gather(*(one() for _ in range(count)))
    assert outcomes["answered"] > 0 and outcomes["refused"] > 0, outcomes
    return outcomes


def rate_limit(base_url, key):
    client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)
    for asked in range(5000):
        try:
            client.models.list()
        except openai.RateLimitError as error:
            assert int(error.response.headers["retry-after"]) >= 1
            return asked
    raise AssertionError("5000 requests in a row and no limit")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_url")
    parser.add_argument("key")
    parser.add_argument("--overload", type=int, default=0, metavar="N")
    parser.add_argument("--rate-limit", action="store_true")
    arguments = parser.parse_args()
    client = openai.OpenAI(base_url=arguments.base_url, api_key=arguments.key, max_retries=0, timeout=300)
    model = check_models(client)
    text = check_completion(client, model)
    report = {"model": model, "answer": text, "chunks": check_stream(client, model, text)}
    check_stop(client, model, text)
    check_forms(client, model)
    check_refusals(client, arguments.base_url, model)
    if arguments.overload:
        report["overload"] = asyncio.run(overload(arguments.base_url, arguments.key, model, arguments.overload))
    if arguments.rate_limit:
        report["limited_after"] = rate_limit(arguments.base_url, arguments.key)
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main()
