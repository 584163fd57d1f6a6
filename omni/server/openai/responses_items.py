"""What kept answers were made from, as items that have an id and the form of OpenAI's, one page at a time."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from omni.core.errors import nearest
from omni.server.errors import BadParameter
from omni.server.openai.responses_store import StoredTurn
from omni.server.openai.responses_types import ItemList

MOST = 100  # items of one page
USUAL = 20
IMAGES = "message.input_image.image_url"  # the word of `include` that asks for images
_KINDS = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
_ASKED = ("user", "system", "developer")


class ItemQuery:
    """Which items are wanted, as the query of a request says it. Raises BadParameter for what it cannot be."""

    def __init__(self, query: Mapping[str, str], include: Sequence[str]) -> None:
        self.order = query.get("order", "desc")
        if self.order not in ("asc", "desc"):
            hint = nearest(self.order, ("asc", "desc"))
            raise BadParameter(f"`order` is asc or desc; {self.order[:100]!r} was sent.", hint=hint, param="order")
        limit = query.get("limit", str(USUAL))
        if not limit.isascii() or not limit.isdecimal() or not 1 <= int(limit[:9]) <= MOST:
            raise BadParameter(f"`limit` is from 1 to {MOST}; {limit[:100]!r} was sent.", param="limit")
        self.limit, self.after, self.images = int(limit), query.get("after", ""), IMAGES in include

    def of(self, turns: Iterable[tuple[str, StoredTurn]]) -> ItemList:
        """The page of the items that the last of `turns` was made from, each with the id of its answer. Blocking where there
        are many. Raises BadParameter for an `after` that is none of them."""
        items = list(_items(list(turns), images=self.images))
        if self.order == "desc":
            items.reverse()
        if self.after:
            at = next((at for at, item in enumerate(items) if item["id"] == self.after), None)
            if at is None:
                raise BadParameter(f"`after` names no item of this answer: {self.after[:100]!r}.", param="after")
            items = items[at + 1 :]
        page = items[: self.limit]
        return ItemList(
            data=page,
            first_id=page[0]["id"] if page else None,
            last_id=page[-1]["id"] if page else None,
            has_more=len(items) > len(page),
        )


def _items(turns: Sequence[tuple[str, StoredTurn]], *, images: bool) -> Iterator[dict[str, Any]]:
    """All that was asked and answered before, and what the last one asks."""
    for number, (ident, turn) in enumerate(turns):
        for at, item in enumerate(msgspec.json.decode(turn.input, type=list[dict[str, Any]])):
            kind = item.get("type") or "message"
            known = item.get("id") or _id(kind, ident, at)
            yield {**_shown(item, kind, images=images), "id": known, "type": kind}
        if number < len(turns) - 1:
            yield from msgspec.json.decode(turn.output, type=list[dict[str, Any]])


def _id(kind: str, answer: str, at: int) -> str:
    """The same for the same item, whenever it is asked for."""
    return f"{_KINDS.get(kind, 'item')}_{hashlib.sha256(f'{answer}/{at}'.encode()).hexdigest()[:32]}"


def _shown(item: dict[str, Any], kind: str, *, images: bool) -> dict[str, Any]:
    """An item that a request had, with what OpenAI's clients look for in every one."""
    match kind:
        case "message":
            asked = item.get("role") in _ASKED
            return {
                **item,
                "status": "completed",
                "content": list(_parts(item.get("content"), asked=asked, images=images)),
            }
        case "function_call":
            return {"arguments": "{}", "status": "completed", **item}
        case "function_call_output":
            output = item.get("output") or ""
            if isinstance(output, list):
                output = list(_parts(output, asked=True, images=images))
            return {**item, "status": "completed", "output": output}
        case "reasoning":
            return {"summary": [], **item}
    return item


def _parts(content: str | list[dict[str, Any] | str] | None, *, asked: bool, images: bool) -> Iterator[dict[str, Any]]:
    if content is None or isinstance(content, str):
        content = [content or ""]
    for part in ({"text": part} if isinstance(part, str) else part for part in content):
        if part.get("type") == "input_image":
            yield {"detail": "auto", **part, "image_url": part.get("image_url") if images else None}
        elif part.get("type", "text") not in _TEXTS:
            yield part
        elif asked:
            yield {"type": "input_text", "text": part.get("text") or ""}
        else:
            yield {"type": "output_text", "text": part.get("text") or "", "annotations": [], "logprobs": []}
