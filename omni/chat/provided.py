"""What plug-ins tell a brain besides a question: texts that are stored with it, bounded in time and in size."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from omni.chat.attachments import printable
from omni.core.errors import OmniError
from omni.core.hooks import ContextCall
from omni.core.messages import ContextPart

if TYPE_CHECKING:
    from omni.core.plugins import PluginOffer, Plugins

CUT = "\n[cut: there is no room for more]"


async def provided(plugins: "Plugins", question: str, project: str | Path | None, room: int) -> list[ContextPart]:
    """What the context providers of all plug-ins say of a question, in no more than `room` bytes together.

    All are asked at once. One that fails or takes too long is left out; `plugins.failures` has its name.
    """
    offers = await asyncio.to_thread(plugins.offers, "omni_context_providers")
    call = ContextCall(question=question, project=str(project or ""))
    texts = await asyncio.gather(*(_text(plugins, offer, call) for offer in offers))
    context = []
    for offer, text in zip(offers, texts, strict=True):
        if text.strip():
            data = text.encode("utf-8", "replace")
            if len(data) > room:
                text = data[: max(0, room - len(CUT))].decode("utf-8", "ignore") + CUT if room > len(CUT) else ""
                data = text.encode()
            room -= len(data)
            source = printable(f"{offer.item.name} (plug-in {offer.plugin})")
            if text:
                context.append(ContextPart(source=source, bytes=len(data), lines=text.count("\n") + 1, text=text))
    return context


async def _text(plugins: "Plugins", offer: "PluginOffer", call: ContextCall) -> str:
    try:
        text = await asyncio.to_thread(plugins.call, offer.plugin, "context", offer.item.provide, call)
    except OmniError as error:  # also one that the plug-in raised by itself: a question is asked all the same
        plugins.failures.setdefault(offer.plugin, error.message)
        return ""
    if not isinstance(text, str):
        plugins.blame(offer.plugin, "failed in provide", TypeError(f"{type(text).__name__} is no text"))
        return ""
    return text.replace("\0", "\ufffd")
