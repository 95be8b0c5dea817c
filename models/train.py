"""Trains the bundled chat model from nothing and exports it: tokenizer, training, ONNX, quantisation.

    python train.py                       # everything, into bundled/
    python train.py tokenizer|train|export [--device auto|cpu|cuda] [--steps N] [--minutes M] [--precision int8|int4]

The seed fixes data, weights and order. The learning rate follows a cosine over --steps; --minutes is a ceiling in wall
time, and where it is the nearer end the cosine follows the clock (then, and only then, a run depends on the machine).
The weights that are exported are a running average of the trained ones.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from common import (END_ID, HERE, PAD_ID, START_ID, WORK, build_genai, llama_config, sha256sums, train_tokenizer,
                    write_generation_config, write_hf, write_tokenizer)
from dialogues import Writer, heldout_questions

SEED = 20261121
CONTEXT = 512
LONGEST = 384
VOCAB = 3072
SIZE = dict(hidden_size=256, intermediate_size=640, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=CONTEXT)
RATE, WARMUP, DECAY, AVERAGE = 1.5e-3, 100, 0.05, 0.995
POOL, BATCH_TOKENS = 1024, 1024
SHORT, SHORT_SHARE = 8, 0.9
FIRST, FIRST_WEIGHT = 6, 6.0
IGNORE = -100
TOKENIZER, CHECKPOINT, HF = WORK / "tokenizer.json", WORK / "average.pt", WORK / "hf"


def make_tokenizer() -> Tokenizer:
    """Learns the vocabulary from generated dialogues, so that frequent answers become few tokens."""
    writer = Writer(SEED)
    texts = [m["content"] for _ in range(12_000) for m in writer.dialogue()]
    texts += [a for i in writer.intents.values() for lang in ("en", "zh") for a in i.answers[lang]] * 3
    texts += ["user", "assistant", "system"] * 50
    WORK.mkdir(exist_ok=True)
    tok = train_tokenizer(texts, VOCAB)
    tok.save(str(TOKENIZER))
    print(f"tokenizer: {tok.get_vocab_size()} entries", flush=True)
    return tok


class Encoder:
    """Dialogues to (ids, labels, weights); only what the assistant says has labels.

    The first tokens of an answer decide which answer it is, and the rest is recited. So they weigh more, and most
    dialogues end right after them: a question costs little time, and many are seen.
    """

    def __init__(self, tok: Tokenizer, rng: random.Random):
        self.tok, self.rng = tok, rng
        self.newline = tok.encode("\n").ids
        self.heads = {r: [START_ID, *tok.encode(f"{r}\n").ids] for r in ("user", "assistant", "system")}

    def encode(self, text: str) -> list[int]:
        return self.tok.encode(text).ids

    def noisy(self, text: str) -> list[int]:
        """A user's text, sometimes cut inside words and with a few foreign tokens, so that spelling matters less."""
        if self.rng.random() < 0.6:
            return self.encode(text)
        cuts = [0, *(i for i in range(1, len(text)) if self.rng.random() < 0.06), len(text)]
        ids = [i for a, b in zip(cuts, cuts[1:]) for i in self.encode(text[a:b])]
        return [self.rng.randrange(3, VOCAB) if self.rng.random() < 0.02 else i for i in ids]

    def dialogue(self, messages: list[dict]) -> tuple[list[int], list[int], list[float]]:
        ids, labels, weights = [], [], []
        cut = self.rng.random() < SHORT_SHARE
        for message in messages:
            head = self.heads[message["role"]]
            spoken = message["role"] == "assistant"
            body = self.encode(message["content"]) if spoken else self.noisy(message["content"])
            body = body + [END_ID]
            if spoken and cut and message is messages[-1]:
                body = body[:SHORT]
            ids += head + body
            labels += [IGNORE] * len(head) + (body if spoken else [IGNORE] * len(body))
            weights += [1.0] * len(head) + [FIRST_WEIGHT if i < FIRST else 1.0 for i in range(len(body))]
            if message is not messages[-1]:
                ids += self.newline
                labels += [IGNORE] * len(self.newline)
                weights += [1.0] * len(self.newline)
        return ids[:LONGEST], labels[:LONGEST], weights[:LONGEST]


def batches(encoder: Encoder, writer: Writer):
    """Endless batches of about BATCH_TOKENS tokens, each of dialogues of similar length."""
    while True:
        pool = sorted((encoder.dialogue(writer.dialogue()) for _ in range(POOL)), key=lambda x: len(x[0]))
        groups, group = [], []
        for sample in pool:
            if group and len(sample[0]) * (len(group) + 1) > BATCH_TOKENS:
                groups.append(group)
                group = []
            group.append(sample)
        groups.append(group)
        encoder.rng.shuffle(groups)
        yield from (pad(g) for g in groups)


def pad(group) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Right padding needs no mask: attention is causal and padding has no label."""
    width = max(len(sample[0]) for sample in group)
    columns = zip(*group)
    return tuple(torch.tensor([row + [fill] * (width - len(row)) for row in column])
                 for column, fill in zip(columns, (PAD_ID, IGNORE, 0.0)))


def loss_of(model, ids, labels, weights):
    """Weighted cross entropy where a label stands; the vocabulary projection runs only there."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    target = labels[:, 1:]
    keep = target != IGNORE
    weight = weights[:, 1:][keep]
    losses = F.cross_entropy(model.lm_head(hidden[keep]).float(), target[keep], reduction="none")
    return (losses * weight).sum() / weight.sum()


def optimizer_of(model):
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)


def device_of(name: str) -> torch.device:
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def train(args) -> None:
    from transformers import LlamaForCausalLM

    torch.manual_seed(args.seed)
    torch.set_flush_denormal(True)
    device = device_of(args.device)
    tok = Tokenizer.from_file(str(TOKENIZER))
    model = LlamaForCausalLM(llama_config(vocab_size=tok.get_vocab_size(), **SIZE)).to(device).train()
    if args.resume:
        model.load_state_dict(torch.load(CHECKPOINT, map_location=device), strict=False)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}", flush=True)
    average = [p.detach().clone() for p in model.parameters()]
    source = batches(Encoder(tok, random.Random(args.seed)), Writer(args.seed, forbidden=frozenset(heldout_questions())))
    loop(args, model, average, source, device)
    save(model, average)


def save(model, average) -> None:
    names = [n for n, _ in model.named_parameters()]
    torch.save(dict(zip(names, average)), CHECKPOINT.with_suffix(".new"))
    CHECKPOINT.with_suffix(".new").replace(CHECKPOINT)


def loop(args, model, average, source, device) -> None:
    """Steps until --steps or --minutes, whichever comes first; saves the average every 200 steps."""
    optimizer, start, tokens, recent = optimizer_of(model), time.time(), 0, 0.0
    step, progress = 0, 0.0
    while progress < 1.0:
        rate = args.rate * min(1.0, (step + 1) / WARMUP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        ids, labels, weights = (x.to(device) for x in next(source))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = loss_of(model, ids, labels, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step, tokens = step + 1, tokens + ids.numel()
        torch._foreach_lerp_(average, [p.detach() for p in model.parameters()], 1 - min(AVERAGE, step / (step + 20)))
        recent = loss.item() if step == 1 else 0.98 * recent + 0.02 * loss.item()
        seconds = time.time() - start
        progress = max(step / args.steps, seconds / (60 * args.minutes))
        if step % 50 == 0:
            print(f"step {step} loss {recent:.4f} rate {rate:.5f} {tokens / seconds:.0f} tok/s {seconds:.0f} s", flush=True)
        if step % 200 == 0:
            save(model, average)


def export(args) -> None:
    """The averaged weights as a checkpoint folder, then as a quantised ONNX folder with its checksums."""
    from transformers import LlamaForCausalLM

    tok = Tokenizer.from_file(str(TOKENIZER))
    model = LlamaForCausalLM(llama_config(vocab_size=tok.get_vocab_size(), **SIZE)).eval()
    missing = model.load_state_dict(torch.load(CHECKPOINT, map_location="cpu"), strict=False).missing_keys
    assert set(missing) <= {"lm_head.weight"}, missing
    model.tie_weights()
    write_hf(HF, model, tok, CONTEXT)
    build_genai(HF, args.output, args.precision)
    for path in args.output.iterdir():
        if path.name not in ("model.onnx", "model.onnx.data", "genai_config.json"):
            path.unlink()
    write_tokenizer(args.output, tok, CONTEXT)
    write_generation_config(args.output)
    shutil.copyfile(HF / "config.json", args.output / "config.json")
    check_quantised(args.output, args.precision)
    sha256sums(args.output)
    print(f"{args.output}: {sum(p.stat().st_size for p in args.output.iterdir()) / 1e6:.2f} MB", flush=True)


def check_quantised(folder: Path, precision: str) -> None:
    """Every MatMulNBits must have accuracy_level 4: other levels are many times slower on the CPU."""
    import onnx

    if precision == "fp32":
        return
    graph = onnx.load(str(folder / "model.onnx"), load_external_data=False).graph
    levels = [{a.name: a.i for a in n.attribute} for n in graph.node if n.op_type == "MatMulNBits"]
    assert levels and all(x.get("accuracy_level") == 4 for x in levels), levels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all", choices=["all", "tokenizer", "train", "export"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--minutes", type=float, default=50.0)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--resume", action="store_true", help="start from the last average, with a fresh optimizer")
    parser.add_argument("--precision", default="int4", choices=["int8", "int4", "fp32"])
    parser.add_argument("--output", type=Path, default=HERE / "bundled")
    args = parser.parse_args()
    if args.what in ("all", "tokenizer"):
        make_tokenizer()
    if args.what in ("all", "train"):
        train(args)
    if args.what in ("all", "export"):
        export(args)


if __name__ == "__main__":
    main()
