"""Scores heldout.jsonl against an exported model with plain onnxruntime and greedy decoding.

    python score.py [--model bundled] [--heldout heldout.jsonl] [--system TEXT] [--floor 0.85] [--quiet]
    python score.py --golden        # checks both fixtures against fixtures/golden.json instead

Needs onnxruntime, tokenizers and numpy only. The criterion is described in README.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
START, END = "<|im_start|>", "<|im_end|>"
MAX_NEW = 160


class Model:
    """A decoder graph in either layout (with or without position_ids), one conversation at a time."""

    def __init__(self, folder: Path):
        options = ort.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "generation_config.json").read_text())
        self.eos = set(config["eos_token_id"])
        shape = json.loads((folder / "config.json").read_text())
        self.head_dim = shape.get("head_dim") or shape["hidden_size"] // shape["num_attention_heads"]
        self.inputs = {i.name: i for i in self.session.get_inputs()}
        self.outputs = [o.name for o in self.session.get_outputs()]

    def empty_past(self) -> dict[str, np.ndarray]:
        past = {n: i.shape for n, i in self.inputs.items() if n.startswith("past_key_values.")}
        return {n: np.zeros((1, shape[1], 0, self.head_dim), np.float32) for n, shape in past.items()}

    def generate(self, ids: list[int], limit: int, ignore_eos: bool = False) -> list[int]:
        """Greedy ids after `ids`, without the end-of-turn token."""
        past, fed, out = self.empty_past(), ids, []
        while len(out) < limit:
            total = len(ids) + len(out)
            feeds = {"input_ids": np.array([fed], np.int64), "attention_mask": np.ones((1, total), np.int64), **past}
            if "position_ids" in self.inputs:
                feeds["position_ids"] = np.arange(total - len(fed), total, dtype=np.int64)[None]
            got = dict(zip(self.outputs, self.session.run(None, feeds)))
            best = int(got["logits"][0, -1].argmax())
            if best in self.eos and not ignore_eos:
                break
            out.append(best)
            past = {n: got[n.replace("past_key_values", "present")] for n in past}
            fed = [best]
        return out

    def answer(self, messages: list[dict], limit: int = MAX_NEW) -> str:
        text = "".join(f"{START}{m['role']}\n{m['content']}{END}\n" for m in messages) + f"{START}assistant\n"
        return self.tokenizer.decode(self.generate(self.tokenizer.encode(text).ids, limit)).strip()


def messages_of(item: dict, system: str) -> list[dict]:
    """The optional system prompt, then the item's history, then its question."""
    head = [{"role": "system", "content": system}] if system else []
    return head + item.get("history", []) + [{"role": "user", "content": item["question"]}]


def passes(item: dict, answer: str) -> bool:
    """Every group of `must` has a member in the answer, and nothing of `must_not` is in it (case ignored)."""
    text = answer.lower()
    wanted = all(any(word.lower() in text for word in group) for group in item["must"])
    return wanted and not any(word.lower() in text for word in item.get("must_not", []))


def classes(item: dict) -> list[str]:
    """The groups that an item counts in."""
    names = ["all", item["lang"]]
    names += ["out-of-scope"] if item.get("kind") == "out-of-scope" else []
    return names + (["two-turn"] if item.get("history") else [])


def score(model: Model, items: list[dict], system: str, quiet: bool) -> dict[str, list[int]]:
    """[right, asked] for each group; prints each answer unless quiet."""
    totals: dict[str, list[int]] = {}
    for item in items:
        answer = model.answer(messages_of(item, system))
        good = passes(item, answer)
        for name in classes(item):
            entry = totals.setdefault(name, [0, 0])
            entry[0] += good
            entry[1] += 1
        if not quiet:
            print(f"{'ok  ' if good else 'FAIL'} {item['question']!r} -> {answer!r}")
    return totals


def check_golden() -> None:
    """Both fixtures must give exactly the ids that transformers gave."""
    golden = json.loads((HERE / "fixtures" / "golden.json").read_text())
    for name in ("genai", "optimum"):
        model = Model(HERE / "fixtures" / name)
        for case in golden["plain"]:
            assert model.tokenizer.encode(case["text"]).ids == case["ids"], case
        for case in golden["chats"]:
            assert model.tokenizer.encode(case["rendered"]).ids == case["prompt_ids"], case
            got = model.generate(case["prompt_ids"], golden["new_tokens"], ignore_eos=True)
            assert got == case["greedy_ids"], (name, got, case["greedy_ids"])
        print(f"{name}: {len(golden['chats'])} chats as transformers computes them")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=HERE / "bundled")
    parser.add_argument("--heldout", type=Path, default=HERE / "heldout.jsonl")
    parser.add_argument("--system", default="")
    parser.add_argument("--floor", type=float, default=0.0)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--golden", action="store_true")
    args = parser.parse_args()
    if args.golden:
        return check_golden()
    items = [json.loads(line) for line in args.heldout.read_text(encoding="utf-8").splitlines() if line.strip()]
    totals = score(Model(args.model), items, args.system, args.quiet)
    print("  ".join(f"{name} {good}/{asked} ({good / asked:.1%})" for name, (good, asked) in totals.items()))
    good, asked = totals["all"]
    if good / asked < args.floor:
        raise SystemExit(f"below the floor of {args.floor:.0%}")


if __name__ == "__main__":
    main()
