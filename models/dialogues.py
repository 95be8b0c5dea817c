"""Turns dialogues/*.toml into training dialogues: patterns, frames, noise, follow-ups.

    python dialogues.py [--count N] [--seed S]     # prints samples
    python dialogues.py --check                    # asserts that no held-out question is ever generated

Everything is drawn from one random.Random, so a seed fixes the stream. The format is described in README.md.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tomllib
import unicodedata
from pathlib import Path

HERE = Path(__file__).resolve().parent
LANGS = ("en", "zh")
KINDS = ("ask", "do", "topic")
KIND_WEIGHT = {"ask": 5, "do": 4, "topic": 2}
WEIGHT = {"out-of-scope": 11.0, "hello": 0.6, "how-are-you": 0.5, "sorry": 0.5, "praise": 0.6, "bye": 0.6,
          "thanks": 0.7, "conservation": 0.6, "unknown-delivery": 0.6, "telegram": 1.6, "discord": 1.6,
          "dingtalk": 1.6, "mac": 1.4, "load-model": 2.0, "crash": 1.6, "who": 1.4, "can-do": 1.2}
NAMES = {"telegram": "Telegram", "discord": "Discord", "dingtalk": "DingTalk", "imessage": "iMessage", "mac": "Mac",
         "gpu": "GPU", "cuda": "CUDA", "api": "API", "http": "HTTP", "openai": "OpenAI", "nats": "NATS",
         "jetstream": "JetStream", "i": "I", "chinese": "Chinese", "english": "English", "onnx": "ONNX", "jwt": "JWT",
         "python": "Python", "rust": "Rust", "packetboat": "Packetboat", "chatgpt": "ChatGPT", "qwen": "Qwen",
         "llama": "Llama", "ollama": "Ollama", "slack": "Slack", "whatsapp": "WhatsApp", "prometheus": "Prometheus"}
FILLER = ("how do i can you please the a to is it my what of in for on this that with would could so just want need be "
          "does some get there which when where now really maybe actually if then me we should go about").split()
GROUP = re.compile(r"\(([^()]*)\)")


def lines(text: str) -> list[str]:
    return [line for line in text.strip().splitlines() if line.strip()]


def normalise(text: str) -> str:
    """Lower case letters and digits only: how two questions are compared."""
    text = unicodedata.normalize("NFKC", text).lower()
    return "".join(c for c in text if c.isalnum())


class Intent:
    """One thing that people ask, in both languages, with its answers."""

    def __init__(self, name: str, table: dict):
        self.name, self.group = name, table.get("group")
        self.patterns = {(lang, kind): lines(table.get(f"{lang}_{kind}", "")) for lang in LANGS for kind in KINDS}
        self.answers = {lang: lines(table[lang]) for lang in LANGS}

    def kinds(self, lang: str) -> list[str]:
        return [k for k in KINDS if self.patterns[lang, k]]


class Writer:
    """Draws dialogues. `forbidden` holds normalised questions that must never come out."""

    def __init__(self, seed: int, folder: Path = HERE / "dialogues", forbidden: frozenset[str] = frozenset()):
        self.rng = random.Random(seed)
        self.forbidden = forbidden
        self.frames = tomllib.loads((folder / "frames.toml").read_text("utf-8"))
        self.follow = tomllib.loads((folder / "followups.toml").read_text("utf-8"))
        self.intents: dict[str, Intent] = {}
        for path in sorted(folder.glob("*.toml")):
            if path.stem not in ("frames", "followups"):
                for name, table in tomllib.loads(path.read_text("utf-8")).items():
                    assert name not in self.intents, name
                    self.intents[name] = Intent(name, table)
        self.names = list(self.intents)
        self.weights = [WEIGHT.get(n, 1.0) for n in self.names]

    def expand(self, pattern: str) -> str:
        """Chooses one branch of every (a|b|c)."""
        while "|" in pattern and (match := GROUP.search(pattern)):
            branch = self.rng.choice(match[1].split("|"))
            pattern = pattern[: match.start()] + branch + pattern[match.end():]
        return re.sub(r" +", " ", pattern).strip()

    def pick(self, text: str) -> str:
        return self.expand(self.rng.choice(lines(text)))

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def core(self, intent: Intent, lang: str) -> str:
        """A question without noise: a full one, or a topic or an action in a frame."""
        kinds = intent.kinds(lang)
        kind = self.rng.choices(kinds, [KIND_WEIGHT[k] for k in kinds])[0]
        text = self.expand(self.rng.choice(intent.patterns[lang, kind]))
        if kind == "ask":
            return text
        frame = self.pick(self.frames[f"{kind}_{lang}"])
        return frame.replace("{t}" if kind == "topic" else "{d}", text)

    def question(self, intent: Intent, lang: str) -> str:
        while True:
            text = self.noisy(self.around(self.core(intent, lang), lang), lang)
            if text and normalise(text) not in self.forbidden:
                return text

    def around(self, text: str, lang: str) -> str:
        gap = " " if lang == "en" else self.rng.choice(["", "，", " "])
        if self.chance(0.12):
            text = self.pick(self.frames[f"before_{lang}"]) + (self.rng.choice([",", "", " -"]) if lang == "en" else "") + gap + text
        if self.chance(0.10):
            text += (" " if lang == "en" else "") + self.pick(self.frames[f"after_{lang}"])
        return text

    def noisy(self, text: str, lang: str) -> str:
        if lang == "en":
            text = self.cased(self.reworded(text) if self.chance(0.3) else text)
        elif self.chance(0.5):
            text = re.sub(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])", "", text)
        if self.chance(0.12):
            text = self.typo(text)
        return text + self.ending(text, lang)

    def reworded(self, text: str) -> str:
        """Loses and gains small words, so that the words that carry the meaning decide."""
        words = []
        for word in text.split(" "):
            if word not in FILLER or self.chance(0.65):
                words.append(word)
            if self.chance(0.12):
                words.append(self.rng.choice(FILLER))
        return " ".join(words) if len(words) > 2 else text

    def cased(self, text: str) -> str:
        style = self.rng.random()
        if style < 0.35:
            return text
        if style < 0.37:
            return text.upper()
        text = re.sub(r"[a-z]+", lambda m: NAMES.get(m[0], m[0]), text)
        return text[:1].upper() + text[1:]

    def typo(self, text: str) -> str:
        """Drops, doubles or swaps one character (Latin words of five letters or more; any Han text of eight)."""
        spots = [m.start() + 1 + self.rng.randrange(len(m[0]) - 2) for m in re.finditer(r"[A-Za-z]{5,}", text)]
        if not spots and len(text) >= 8:
            spots = [self.rng.randrange(1, len(text) - 1)]
        if not spots:
            return text
        i = self.rng.choice(spots)
        return self.rng.choice([text[:i] + text[i + 1:], text[:i] + text[i] + text[i:],
                                text[:i] + text[i + 1:i + 2] + text[i] + text[i + 2:]])

    def ending(self, text: str, lang: str) -> str:
        if not text or text[-1] in "?？。.!":
            return ""
        if lang == "en":
            return self.rng.choices(["?", "", ".", "!", "??", " ?"], [48, 42, 5, 2, 2, 1])[0]
        return self.rng.choices(["？", "", "?", "。", "！", "??"], [45, 38, 10, 4, 2, 1])[0]

    def answer(self, intent: Intent, lang: str) -> str:
        return self.rng.choice(intent.answers[lang])

    def turn(self, lang: str, name: str | None = None) -> list[dict]:
        intent = self.intents[name] if name else self.any_intent()
        return self.pair(self.question(intent, lang), self.answer(intent, lang))

    def any_intent(self) -> Intent:
        return self.intents[self.rng.choices(self.names, self.weights)[0]]

    @staticmethod
    def pair(question: str, answer: str) -> list[dict]:
        return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]

    def grouped(self) -> Intent:
        return self.intents[self.rng.choice([n for n in self.names if self.intents[n].group])]

    def after_another(self, lang: str) -> list[dict]:
        """'And Discord?': mostly after another platform, sometimes after anything with a topic."""
        if self.chance(0.7):
            first, second = self.grouped(), self.grouped()
        else:
            first = self.any_intent()
            second = self.rng.choice([i for i in self.intents.values() if i.patterns[lang, "topic"]])
        topic = self.expand(self.rng.choice(second.patterns[lang, "topic"]))
        ask = self.pick(self.follow[f"another_{lang}"]).replace("{x}", topic)
        return self.turn(lang, first.name) + self.pair(self.noisy(ask, lang), self.answer(second, lang))

    def translated(self, lang: str) -> list[dict]:
        """'Say that in Chinese': the same answer in the language asked for."""
        intent, target = self.any_intent(), self.rng.choice(LANGS)
        ask = self.noisy(self.pick(self.follow[f"to_{target}"]), lang)
        return self.turn(lang, intent.name) + self.pair(ask, self.answer(intent, target))

    def again(self, lang: str) -> list[dict]:
        first = self.turn(lang)
        ask = self.noisy(self.pick(self.follow[f"again_{lang}"]), lang)
        return first + self.pair(ask, first[1]["content"])

    def what_next(self, lang: str) -> list[dict]:
        name = "load-model" if self.chance(0.15) else self.grouped().name
        ask = self.noisy(self.pick(self.follow[f"next_{lang}"]), lang)
        return self.turn(lang, name) + self.pair(ask, self.follow[f"next_answer_{lang}"])

    def two_topics(self, lang: str) -> list[dict]:
        first = self.turn(self.rng.choice(LANGS) if self.chance(0.15) else lang)
        return first + self.turn(lang)

    def many(self, lang: str) -> list[dict]:
        """A longer chat: each answer depends on its own question only."""
        return [m for _ in range(self.rng.randint(3, 5)) for m in self.turn(lang)]

    def dialogue(self) -> list[dict]:
        """One whole dialogue; the last message is the answer to learn (earlier answers are learnt too)."""
        lang = "en" if self.chance(0.55) else "zh"
        kinds = [self.turn, self.two_topics, self.many, self.after_another, self.translated, self.again, self.what_next]
        messages = self.rng.choices(kinds, [67, 6, 4, 12, 5, 2, 4])[0](lang)
        if self.chance(0.3):
            return [{"role": "system", "content": self.pick(self.frames["system"])}] + messages
        return messages


def heldout_questions(path: Path = HERE / "heldout.jsonl") -> set[str]:
    items = [json.loads(x) for x in path.read_text("utf-8").splitlines() if x.strip()] if path.exists() else []
    return {normalise(i["question"]) for i in items if not i.get("history")}


def branches(pattern: str) -> set[str]:
    """Every expansion of a pattern, normalised."""
    match = GROUP.search(pattern) if "|" in pattern else None
    if not match:
        return {normalise(pattern)}
    return set().union(*(branches(pattern[: match.start()] + b + pattern[match.end():]) for b in match[1].split("|")))


def check(writer: Writer, count: int) -> None:
    """No held-out question is a written phrasing or among `count` generated questions."""
    held = heldout_questions()
    asked = {b for i in writer.intents.values() for (_, kind), ps in i.patterns.items() if kind == "ask"
             for p in ps for b in branches(p)}
    for _ in range(count):
        asked |= {normalise(m["content"]) for m in writer.dialogue() if m["role"] == "user"}
    overlap = held & asked
    assert not overlap, f"held-out questions that training also has: {overlap}"
    print(f"{len(held)} held-out questions, none among {len(asked)} training questions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    writer = Writer(args.seed)
    if args.check:
        return check(writer, max(args.count, 50_000))
    for _ in range(args.count):
        print(json.dumps(writer.dialogue(), ensure_ascii=False))


if __name__ == "__main__":
    main()
