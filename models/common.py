"""What train.py, make_fixtures.py and score.py share: tokenizer, chat template, Llama config, folder layout.

Nothing here trains or scores. The special tokens and the chat template are fixed: the Rust side and every fixture
rely on them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).resolve().parent
WORK = HERE / ".work"

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
PAD_ID, START_ID, END_ID = 0, 1, 2

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

WORD = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"


def render(messages: list[dict], add_generation_prompt: bool = True) -> str:
    """The chat template in plain Python (make_fixtures.py checks it against jinja2)."""
    text = "".join(f"{START}{m['role']}\n{m['content']}{END}\n" for m in messages)
    return text + (f"{START}assistant\n" if add_generation_prompt else "")


def train_tokenizer(texts: list[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE: each Han character and each digit is its own piece, words keep their leading space."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{Han}"), "isolated"),
        pre_tokenizers.Split(Regex(WORD), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tok.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True, normalized=False) for t in (PAD, START, END)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, special_tokens=special, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tok.train_from_iterator(texts, trainer)
    assert [tok.token_to_id(t) for t in (PAD, START, END)] == [PAD_ID, START_ID, END_ID]
    return tok


def llama_config(**size):
    """A LlamaConfig with our token ids; `size` names the dimensions."""
    from transformers import LlamaConfig

    return LlamaConfig(
        bos_token_id=PAD_ID, eos_token_id=END_ID, pad_token_id=PAD_ID, tie_word_embeddings=True,
        rms_norm_eps=1e-5, attention_bias=False, mlp_bias=False, **size,
    )


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path, tok: Tokenizer, max_length: int) -> None:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja, the way model hubs lay them out."""
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length,
        "bos_token": None, "eos_token": END, "pad_token": PAD, "unk_token": None,
        "add_bos_token": False, "add_eos_token": False, "clean_up_tokenization_spaces": False,
    })
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


def write_generation_config(folder: Path) -> None:
    write_json(folder / "generation_config.json", {
        "bos_token_id": PAD_ID, "eos_token_id": [END_ID, PAD_ID], "pad_token_id": PAD_ID, "do_sample": False,
    })


def write_hf(folder: Path, model, tok: Tokenizer, max_length: int) -> None:
    """A checkpoint folder that both builders read, spelled the way transformers 4 and 5 both accept."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters", None) or {}
    config["rope_theta"] = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    config["torch_dtype"] = config.pop("dtype", "float32")
    write_json(folder / "config.json", config)
    write_tokenizer(folder, tok, max_length)
    write_generation_config(folder)


def build_genai(source: Path, target: Path, precision: str, *extra: str) -> None:
    """Runs onnxruntime-genai's model builder, offline, for the CPU."""
    shutil.rmtree(target, ignore_errors=True)
    command = [
        sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(target),
        "-p", precision, "-e", "cpu", "-c", str(WORK / "cache"), "--extra_options", "hf_token=false", *extra,
    ]
    run_quiet(command)


def run_quiet(command: list[str]) -> None:
    """Runs a command offline; shows its output only when it fails."""
    import os

    env = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", PYTHONHASHSEED="0")
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}")


def sha256sums(folder: Path) -> None:
    """Writes SHA256SUMS over every other file of the folder, in `sha256sum -c` format."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / "SHA256SUMS").write_text("".join(lines))
