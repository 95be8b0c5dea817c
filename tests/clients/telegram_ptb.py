"""Runs python-telegram-bot against the Telegram stand-in: telegram_ptb.py URL TOKEN.

The library is an independent reading of the Bot API: what it accepts, and which of its exceptions an error becomes, says
whether the stand-in speaks Telegram. Each check uses a chat of its own. Exit status 0 and a last line "ok: …" when all pass.
"""

import asyncio
import json
import logging
import socket
import sys
import urllib.request

import telegram
from telegram import MessageEntity, ReplyParameters
from telegram.constants import ParseMode
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter, TimedOut
from telegram.ext import Application, MessageHandler, filters

URL, TOKEN = sys.argv[1], sys.argv[2]
logging.disable(logging.CRITICAL)  # the library logs each failure that is wanted here
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def control(verb, **body):
    """What people on the platform do."""
    request = urllib.request.Request(f"{URL}/control/{verb}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with OPENER.open(request, timeout=60) as answer:
        return json.load(answer)


def look(what):
    with OPENER.open(f"{URL}/control/{what}", timeout=60) as answer:
        return json.load(answer)


def say(chat, text, person=None, **more):
    return control("say", chat=chat, **{"from": person or chat}, text=text, **more)


def bot(token=TOKEN):
    request = telegram.request.HTTPXRequest(httpx_kwargs={"trust_env": False})
    updates = telegram.request.HTTPXRequest(httpx_kwargs={"trust_env": False})
    return telegram.Bot(token, base_url=f"{URL}/bot", request=request, get_updates_request=updates)


async def raises(kind, awaitable, text=""):
    """The error, which must be exactly of that class and say that."""
    try:
        await awaitable
    except telegram.error.TelegramError as error:
        assert type(error) is kind, f"{type(error).__name__} ({error}) instead of {kind.__name__}"
        assert text.lower() in str(error).lower(), f"{error!s} does not say {text!r}"
        return error
    raise AssertionError(f"no {kind.__name__}")


async def identity(it):
    me = await it.get_me()
    assert me.is_bot and me.username == "packetboat_bot", me
    assert me.can_join_groups is True and me.can_read_all_group_messages is False and me.supports_inline_queries is False
    await raises(InvalidToken, bot("123456789:wrong").get_me())
    await raises(InvalidToken, bot("nonsense").get_me())


async def offsets_confirm(it):
    for text in ("one", "two", "three"):
        say(1, text)
    first = await it.get_updates(timeout=5)
    assert [update.message.text for update in first] == ["one", "two", "three"]
    again = await it.get_updates(timeout=5)
    assert [u.update_id for u in again] == [u.update_id for u in first], "unconfirmed updates come again"
    rest = await it.get_updates(offset=first[0].update_id + 1, limit=1)
    assert [update.message.text for update in rest] == ["two"]
    last = await it.get_updates(offset=-1)
    assert [update.message.text for update in last] == ["three"]
    assert not await it.get_updates(offset=last[0].update_id + 1)
    assert look("state")["pending"] == 0


async def long_poll_is_held(it):
    before = len(look("calls?method=getUpdates"))
    waiting = asyncio.create_task(it.get_updates(timeout=30))
    while len(look("calls?method=getUpdates")) == before:
        await asyncio.sleep(0)
    assert not waiting.done()
    say(1, "while held")
    updates = await waiting
    assert updates[-1].message.text == "while held"
    await it.get_updates(offset=updates[-1].update_id + 1)


async def the_older_poll_gets_a_conflict(it):
    before = len(look("calls?method=getUpdates"))
    older = asyncio.create_task(it.get_updates(timeout=30))
    while len(look("calls?method=getUpdates")) == before:
        await asyncio.sleep(0)
    newer = asyncio.create_task(bot().get_updates(timeout=30))
    await raises(Conflict, older, "terminated by other getUpdates request")
    say(1, "for the newer")
    updates = await newer
    await it.get_updates(offset=updates[-1].update_id + 1)


async def allowed_updates_persist(it):
    await it.get_updates(allowed_updates=["message"])
    said = say(2, "draft")
    control("edit", chat=2, message_id=said["message_id"], text="final")
    updates = await it.get_updates()
    assert [update.message.text for update in updates] == ["draft"], "no edited_message"
    await it.get_updates(offset=updates[-1].update_id + 1, allowed_updates=[])


async def groups(it):
    chat, topic_chat = -500, -1001234567890
    unseen = say(chat, "among people", person=7)
    assert unseen["update_id"] is None, "privacy mode"
    say(chat, "hey @Packetboat_Bot what", person=7)
    say(chat, "/start@packetboat_bot", person=7)
    said = say(topic_chat, "/ask in a topic", person=7, thread=33)
    updates = await it.get_updates()
    mention, command, topic = (update.message for update in updates)
    assert mention.parse_entities([MessageEntity.MENTION]).popitem()[1] == "@Packetboat_Bot"
    assert command.parse_entities([MessageEntity.BOT_COMMAND]).popitem()[1] == "/start@packetboat_bot"
    assert topic.is_topic_message and topic.message_thread_id == 33 and topic.chat.is_forum
    reply = ReplyParameters(said["message_id"], allow_sending_without_reply=True)
    sent = await it.send_message(topic_chat, "there", reply_parameters=reply, message_thread_id=33)
    assert sent.reply_to_message.message_id == said["message_id"] and sent.message_thread_id == 33
    await raises(BadRequest, it.send_message(topic_chat, "x", message_thread_id=34), "message thread not found")
    gone = ReplyParameters(999_999)
    await raises(BadRequest, it.send_message(chat, "x", reply_parameters=gone), "message to be replied not found")
    answered = say(chat, "thanks", person=7, reply_to=(await it.send_message(chat, "hello group")).message_id)
    assert answered["update_id"], "a reply to the bot is seen"
    await it.get_updates(offset=answered["update_id"] + 1)


async def texts(it):
    say(3, "hi")
    sent = await it.send_message(3, "  *b* <b>bold</b> &amp; <i>it</i> ", parse_mode=ParseMode.HTML)
    assert sent.text == "*b* bold & it" and [e.type for e in sent.entities] == ["bold", "italic"]
    sent = await it.send_message(3, "👉 *bold* `code`", parse_mode=ParseMode.MARKDOWN_V2)
    assert [(e.type, e.offset, e.length) for e in sent.entities] == [("bold", 3, 4), ("code", 8, 4)]
    sent = await it.send_message(3, "abc", entities=[MessageEntity("pre", 0, 3, language="rust")])
    assert sent.entities[0].language == "rust"
    await raises(BadRequest, it.send_message(3, "a.b", parse_mode=ParseMode.MARKDOWN_V2), "Can't parse entities: character '.' is reserved")
    await raises(BadRequest, it.send_message(3, "<b>", parse_mode=ParseMode.HTML), "Can't find end tag")
    await raises(BadRequest, it.send_message(3, " "), "Message text is empty")
    await raises(BadRequest, it.send_message(3, "x" * 4097), "Message is too long")
    assert len((await it.send_message(3, "x" * 4096)).text) == 4096
    await raises(BadRequest, it.send_message(424242, "x"), "Chat not found")
    assert await it.send_chat_action(3, "typing")


async def edits(it):
    said = say(4, "hi")
    sent = await it.send_message(4, "…")
    edited = await it.edit_message_text("answer", 4, sent.message_id)
    assert edited.text == "answer" and edited.edit_date
    await raises(BadRequest, it.edit_message_text("answer", 4, sent.message_id), "Message is not modified: specified new message content")
    await raises(BadRequest, it.edit_message_text("x", 4, 999_999), "Message to edit not found")
    await raises(BadRequest, it.edit_message_text("x", 4, said["message_id"]), "Message can't be edited")
    assert [m["history"] for m in look("visible?chat=4") if m["from_bot"]] == [["…", "answer"]]
    assert await it.delete_message(4, sent.message_id)
    await raises(BadRequest, it.delete_message(4, sent.message_id), "Message to delete not found")


async def refusals(it):
    say(5, "hi")
    control("close", chat=5, how="blocked")
    await raises(Forbidden, it.send_message(5, "x"), "bot was blocked by the user")
    control("open_chat", chat=-600, kind="group")
    control("migrate", chat=-600, to=-1000000000600)
    error = await raises(ChatMigrated, it.send_message(-600, "x"))
    assert error.new_chat_id == -1000000000600


async def faults(it):
    say(6, "hi")
    control("fault", method="sendMessage", what={"retry_after": 7})
    error = await raises(RetryAfter, it.send_message(6, "x"))
    seconds = error.retry_after
    assert (seconds if isinstance(seconds, int) else seconds.total_seconds()) == 7
    control("fault", method="sendMessage", what={"html": 502})
    await raises(NetworkError, it.send_message(6, "x"))
    control("fault", method="sendMessage", what="drop_before")
    await raises(NetworkError, it.send_message(6, "before"))
    control("fault", method="sendMessage", what="drop_after")
    await raises(NetworkError, it.send_message(6, "after"))
    control("fault", method="sendMessage", what="hang")
    await raises(TimedOut, it.send_message(6, "hang", read_timeout=0.2))
    assert [m["text"] for m in look("visible?chat=6") if m["from_bot"]] == ["after"], "only the lost response was executed"
    control("limits", chat_burst=2)
    await it.send_message(6, "1")
    await it.send_message(6, "2")
    await raises(RetryAfter, it.send_message(6, "3"))
    await asyncio.to_thread(lambda: OPENER.open(urllib.request.Request(f"{URL}/control/limits", b"null", {"Content-Type": "application/json"}), timeout=60))


async def webhook(it):
    """The library's own webhook server checks the secret; the stand-in repeats what is refused."""
    got = asyncio.Queue()

    async def take(update, _context):
        await got.put(update.message.text)

    app = Application.builder().token(TOKEN).base_url(f"{URL}/bot").request(
        telegram.request.HTTPXRequest(httpx_kwargs={"trust_env": False})).build()
    app.add_handler(MessageHandler(filters.TEXT, take))
    await app.initialize()
    await app.start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/hook"
    await app.updater.start_webhook("127.0.0.1", port, "hook", webhook_url=address, secret_token="s3cret_-")
    info = await it.get_webhook_info()
    assert info.url == address and info.pending_update_count == 0
    say(8, "pushed 1")
    say(8, "pushed 2")
    assert [await asyncio.wait_for(got.get(), 30) for _ in range(2)] == ["pushed 1", "pushed 2"]
    await raises(Conflict, it.get_updates(), "can't use getUpdates method while webhook is active")
    # with another secret the library answers 403: the update stays
    await it.set_webhook(address, secret_token="other")
    say(8, "refused")
    while (await it.get_webhook_info()).last_error_message is None:
        await asyncio.sleep(0)
    info = await it.get_webhook_info()
    assert "403" in info.last_error_message and info.pending_update_count == 1, info
    await it.set_webhook(address, secret_token="s3cret_-")
    assert await asyncio.wait_for(got.get(), 30) == "refused"
    await raises(BadRequest, it.set_webhook(address, secret_token="bad secret!"), "unallowed characters")
    await app.updater.stop()
    await app.stop()
    await app.shutdown()
    assert await it.delete_webhook()
    assert (await it.get_webhook_info()).url == ""


async def main():
    checks = [identity, long_poll_is_held, offsets_confirm, the_older_poll_gets_a_conflict, allowed_updates_persist, groups,
              texts, edits, refusals, faults, webhook]
    it = bot()
    await it.initialize()
    for check in checks:
        print(check.__name__, flush=True)
        updates = await it.get_updates()
        if updates:
            await it.get_updates(offset=updates[-1].update_id + 1)
        await check(it)
    await it.shutdown()
    print(f"ok: every check passed ({len(checks)}), python-telegram-bot {telegram.__version__}")


asyncio.run(main())
