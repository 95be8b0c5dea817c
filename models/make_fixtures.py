"""Makes models/fixtures: one micro Llama with random weights in two ONNX layouts, and golden.json beside them.

    python make_fixtures.py --optimum-cli PATH

The optimum exporter needs an older transformers than the genai builder, so it lives in its own environment (see
README.md); PATH is its `optimum-cli`. golden.json is computed with transformers from the same fp32 weights. The seed
is the first one whose greedy continuations have a clear winner at every step, so that rounding cannot change them.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from jinja2 import Environment
from transformers import LlamaForCausalLM

from common import (CHAT_TEMPLATE, END_ID, HERE, PAD_ID, WORK, build_genai, llama_config, render, run_quiet,
                    sha256sums, train_tokenizer, write_generation_config, write_hf, write_json, write_tokenizer)

FIXTURES = HERE / "fixtures"
MAX_LENGTH = 512
NEW_TOKENS = 24
MIN_MARGIN = 0.01
SIZE = dict(vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=MAX_LENGTH)

CORPUS = [
    "user", "assistant", "system", "Hello! I am packetboat. A message is stored before it is acknowledged.",
    "Each reply waits in the outbox until the platform has confirmed it. The queue is durable.",
    "How do I connect Telegram? What happens after a crash? Where is the config file?",
    "你好！我是 packetboat。消息先写入队列，再确认，再回答。崩溃之后不会丢失消息。",
    "怎么连接钉钉？怎么连接电报？模型在哪里？谢谢，再见。",
    "An adapter is one platform connection; a lane keeps the order of one conversation; a lease expires.",
    "Dead letters are kept with their errors, and an operator can read, retry or discard them.",
] * 4

CHATS = [
    [{"role": "user", "content": "Hello"}],
    [{"role": "system", "content": "You are a helpful assistant answering in a chat."},
     {"role": "user", "content": "How do I connect Telegram?"}],
    [{"role": "user", "content": "你好，消息会丢失吗？"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello! I am packetboat."},
     {"role": "user", "content": "And after a crash? 🚢 naïve\n\tcode: `x = 1`"}],
    [{"role": "system", "content": "回答要简短。"}, {"role": "user", "content": "怎么连接钉钉？"},
     {"role": "assistant", "content": "先写入队列。"}, {"role": "user", "content": "然后呢？"}],
]

PLAIN = ["packetboat", "A message is stored before it is acknowledged.", "port 18789, 1.31.1", "消息先写入队列", " \n  two  spaces "]


def greedy(model, ids: list[int]) -> tuple[list[int], float]:
    """24 greedy ids after `ids`, never stopping at eos, and the smallest gap between the best two logits."""
    out, margin = [], float("inf")
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            logits = model(torch.tensor([ids + out])).logits[0, -1]
            top = torch.topk(logits, 2).values
            margin = min(margin, float(top[0] - top[1]))
            out.append(int(logits.argmax()))
    return out, margin


def random_model(seed: int) -> LlamaForCausalLM:
    """Weights drawn wide enough that attention matters and the continuation wanders."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(llama_config(initializer_range=0.15, **SIZE)).eval().float()
    with torch.no_grad():
        model.model.norm.weight.mul_(4.0 + torch.randn_like(model.model.norm.weight))
    return model


def choose(prompts: list[list[int]]) -> tuple[LlamaForCausalLM, int, list[list[int]], float]:
    """The first seed with a clear margin, varied continuations and no end-of-turn token in them."""
    for seed in range(1, 300):
        model = random_model(seed)
        outs, low = [], float("inf")
        for ids in prompts:
            out, margin = greedy(model, ids)
            outs.append(out)
            low = min(low, margin)
            if low < MIN_MARGIN or len(set(out)) < 4 or {PAD_ID, END_ID} & set(out):
                break
        else:
            return model, seed, outs, low
    raise SystemExit("no seed gives a clear margin")


def golden(tok, model, seed: int, prompts, outs, margin: float) -> dict:
    """Everything a reader in another language needs to check tokenizer, template and graphs."""
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(CHAT_TEMPLATE)
    chats = []
    for messages, ids, out in zip(CHATS, prompts, outs):
        text = template.render(messages=messages, add_generation_prompt=True)
        assert text == render(messages)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1, :8].tolist()
        chats.append({
            "messages": messages, "rendered": text,
            "rendered_without_generation_prompt": template.render(messages=messages, add_generation_prompt=False),
            "prompt_ids": ids, "greedy_ids": out, "greedy_text": tok.decode(out, skip_special_tokens=False),
            "last_logits_first_8": [round(x, 5) for x in logits],
        })
    plain = [{"text": t, "ids": tok.encode(t).ids} for t in PLAIN]
    return {"seed": seed, "smallest_margin": round(margin, 4), "new_tokens": NEW_TOKENS, "eos_ignored": True,
            "eos_token_ids": [END_ID, PAD_ID], "chats": chats, "plain": plain}


def export_optimum(source: Path, target: Path, cli: str) -> None:
    """The layout of optimum-cli: plain nodes, position_ids, interleaved past keys and values."""
    shutil.rmtree(target, ignore_errors=True)
    run_quiet([cli, "export", "onnx", "-m", str(source), "--task", "text-generation-with-past", "--framework", "pt",
               str(target)])


def tidy(folder: Path, source: Path, tok) -> None:
    """Gives both layouts the same tokenizer files, config.json and generation_config.json."""
    keep = {"model.onnx", "model.onnx.data", "model.onnx_data", "genai_config.json"}
    for path in folder.iterdir():
        if path.name not in keep:
            path.unlink() if path.is_file() else shutil.rmtree(path)
    write_tokenizer(folder, tok, MAX_LENGTH)
    write_generation_config(folder)
    shutil.copyfile(source / "config.json", folder / "config.json")
    sha256sums(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimum-cli", default="optimum-cli")
    args = parser.parse_args()
    tok = train_tokenizer(CORPUS, SIZE["vocab_size"])
    assert tok.get_vocab_size() == SIZE["vocab_size"], tok.get_vocab_size()
    prompts = [tok.encode(render(chat)).ids for chat in CHATS]
    model, seed, outs, margin = choose(prompts)
    source = WORK / "micro"
    write_hf(source, model, tok, MAX_LENGTH)
    FIXTURES.mkdir(exist_ok=True)
    build_genai(source, FIXTURES / "genai", "fp32")
    export_optimum(source, FIXTURES / "optimum", args.optimum_cli)
    for name in ("genai", "optimum"):
        tidy(FIXTURES / name, source, tok)
    write_json(FIXTURES / "golden.json", golden(tok, model, seed, prompts, outs, margin))
    print(f"seed {seed}, smallest margin {margin:.4f}")


if __name__ == "__main__":
    main()
