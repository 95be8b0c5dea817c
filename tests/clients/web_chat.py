"""Drives the web chat of a running daemon in headless Chromium, as a person would, and takes pictures of it.

    web_chat.py LINK FOLDER [--question TEXT] [--markdown]

LINK is the one-time link that `packetboat login` prints, FOLDER is where the pictures go. `--markdown` expects an answer with
a heading, a list and a block of code (the test server's). Exits 0 when everything was as it should be; the last line is JSON.
Needs Debian's chromium (or $CHROMIUM) and, for the pictures, a font with Chinese signs.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import time

from playwright.sync_api import expect, sync_playwright

# the background-networking flags keep a browser that is started in a closed network from trying at every start
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 860}
# a small model on a busy machine
PATIENCE_MS = 120_000


def browser_program():
    named = os.environ.get("CHROMIUM")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        sys.exit("no Chromium: install Debian's package chromium, or set CHROMIUM")
    return found


class Chat:
    """One page, and what must be true of it."""

    def __init__(self, context, folder, errors):
        self.page = context.new_page()
        self.folder = folder
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: errors.append(str(error)))
        self.page.on("request", self.check_address)
        self.foreign = []

    def check_address(self, request):
        if not request.url.startswith((self.base, "data:")):
            self.foreign.append(request.url)

    base = ""

    def picture(self, name):
        self.page.screenshot(path=str(self.folder / f"{name}.png"))

    def answers(self):
        return self.page.locator(".turn.bot:visible")

    def ask(self, question, by_key=True):
        count = self.answers().count()
        self.page.locator("#text").fill(question)
        if by_key:
            self.page.locator("#text").press("Enter")
        else:
            self.page.locator("#send").click()
        expect(self.answers()).to_have_count(count + 1)
        return self.answers().nth(count)

    def whole(self, answer):
        expect(answer).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)
        return answer.inner_text()


def sign_in(chat, link):
    chat.base = link.split("#")[0]
    chat.page.goto(link)
    expect(chat.page.locator("#text")).to_be_visible()
    assert "#" not in chat.page.url, "the code is gone from the address bar"
    expect(chat.page.locator("#door")).to_be_hidden()


def streamed(chat, question):
    """Asks, and tells how often the answer was seen to grow."""
    answer = chat.ask(question)
    lengths = set()
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while answer.get_attribute("aria-busy") == "true" and time.monotonic() < deadline:
        lengths.add(len(answer.inner_text()))
    return chat.whole(answer), len(lengths - {0})


def check_markdown(chat):
    answer = chat.answers().last
    expect(answer.locator("h2")).to_have_count(1)
    expect(answer.locator("ol > li")).to_have_count(3)
    expect(answer.locator("table tr")).to_have_count(3)
    code = answer.locator(".code pre")
    assert "<b>not markup</b>" in code.inner_text()
    assert answer.locator("b").count() == 0
    link = answer.locator("a").first
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    answer.locator(".copy").click()
    expect(answer.locator(".copy")).to_have_text("Copied")


def check_languages(chat):
    tongue = chat.page.locator("#tongue")
    tongue.click()
    expect(chat.page.locator("#text")).to_have_attribute("placeholder", "输入消息")
    assert chat.page.locator("html").get_attribute("lang") == "zh-CN"
    chat.picture("chinese")
    tongue.click()
    expect(chat.page.locator("#text")).to_have_attribute("placeholder", "Write a message")


def check_history(chat, question):
    # the button of a block of code changes its word for a moment
    before = chat.answers().first.inner_text().replace("Copied", "Copy")
    chat.page.reload()
    expect(chat.page.locator(".turn.you").first).to_contain_text(question)
    assert chat.answers().first.inner_text() == before, "the answer is there after a reload"


def check_composing(chat):
    """Enter while an input method composes chooses a sign and sends nothing; Shift+Enter is a new line."""
    text = chat.page.locator("#text")
    text.fill("ni hao")
    sent = chat.page.locator(".turn.you").count()
    chat.page.evaluate(
        "document.getElementById('text').dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    text.press("Shift+Enter")
    assert chat.page.locator(".turn.you").count() == sent
    assert "\n" in text.input_value()
    text.fill("")


def check_stop(chat, question):
    answer = chat.ask(question)
    stop = chat.page.locator("#send.stop")
    # a fast model may be done before anybody can stop it
    try:
        stop.click(timeout=2000)
    except Exception:
        pass
    chat.whole(answer)


def check_lost_connection(chat, context, question):
    """What is written while the daemon is away is kept, said so, and sent when it is back."""
    count = chat.answers().count()
    context.set_offline(True)
    chat.page.locator("#text").fill(question)
    chat.page.locator("#text").press("Enter")
    expect(chat.page.locator("#banner")).to_be_visible()
    expect(chat.page.locator(".turn.failed .under")).to_be_visible()
    chat.picture("unreachable")
    context.set_offline(False)
    expect(chat.page.locator(".turn.failed")).to_have_count(0, timeout=PATIENCE_MS)
    expect(chat.page.locator("#banner")).to_be_hidden()
    expect(chat.answers()).to_have_count(count + 1)
    chat.whole(chat.answers().last)


def check_without_token(browser, base, folder, errors):
    context = browser.new_context(viewport=PHONE, locale="zh-CN")
    chat = Chat(context, folder, [])
    chat.base = base
    chat.page.goto(base)
    expect(chat.page.locator("#door")).to_be_visible()
    assert chat.page.locator("html").get_attribute("lang") == "zh-CN", "the browser's language counts"
    chat.picture("signed-out")
    chat.page.goto(base + "#login=used-or-wrong")
    chat.page.reload()
    expect(chat.page.locator("#door")).to_be_visible()
    context.close()


def phone(browser, state, folder, errors, base, question):
    """The same on a phone, in the dark."""
    context = browser.new_context(
        viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True, color_scheme="dark", locale="en-GB",
        storage_state=state,
    )
    chat = Chat(context, folder, errors)
    chat.base = base
    chat.page.goto(base)
    chat.whole(chat.ask(question, by_key=False))
    chat.picture("phone-dark")
    assert chat.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen"
    chat.page.locator("#menu").click()
    expect(chat.page.locator("#shelf.open")).to_be_visible()
    chat.page.wait_for_timeout(300)
    chat.picture("phone-shelf")
    chat.page.keyboard.press("Escape")
    chat.page.locator("#new-top").click()
    expect(chat.page.locator("#welcome")).to_be_visible()
    chat.picture("phone-welcome")
    assert not chat.foreign, f"nothing is loaded from elsewhere: {chat.foreign}"
    context.close()


def run(browser, arguments, folder):
    errors = []
    context = browser.new_context(viewport=DESK, locale="en-GB", color_scheme="light")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    chat = Chat(context, folder, errors)
    sign_in(chat, arguments.link)
    chat.picture("welcome")
    text, grown = streamed(chat, arguments.question)
    assert text.strip(), "an answer with words"
    chat.picture("answer")
    if arguments.markdown:
        assert grown > 2, f"the answer grows while it is written ({grown})"
        check_markdown(chat)
    check_history(chat, arguments.question)
    check_languages(chat)
    check_composing(chat)
    check_stop(chat, arguments.question)
    # from here on the console shows the connections that we cut
    expected, errors_so_far = [], list(errors)
    chat.page.on("console", lambda message: expected.append(message.text))
    check_lost_connection(chat, context, arguments.question)
    chat.picture("conversation")
    assert not chat.foreign, f"nothing is loaded from elsewhere: {chat.foreign}"
    state = context.storage_state()
    context.close()
    fresh = []
    phone(browser, state, folder, fresh, chat.base, arguments.question)
    check_without_token(browser, chat.base, folder, fresh)
    assert not errors_so_far + fresh, f"errors in the console: {errors_so_far + fresh}"
    return {"answer": text, "seen_growing": grown, "pictures": sorted(path.name for path in folder.glob("*.png"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("link")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--question", default="What are you?")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program(), headless=True, args=FLAGS)
        try:
            print(json.dumps(run(browser, arguments, arguments.folder), ensure_ascii=False))
        finally:
            browser.close()


if __name__ == "__main__":
    main()
