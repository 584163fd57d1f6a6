"""What Anthropic's clients send and read, field by field."""

from typing import Any, Literal

from msgspec import Struct

from omni.server.bounds import StopTexts

StopReason = Literal["end_turn", "max_tokens", "tool_use", "stop_sequence"]


class MediaSource(Struct, frozen=True, kw_only=True):
    """Where an image or a document is: `data` holds an image in base64, which `media_type` says the kind of (PNG, JPEG,
    GIF or BMP), or the text of a document; `content` holds blocks of a document. Addresses and files are refused in what is
    new: nothing is fetched or kept."""

    type: str | None = None
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: "str | list[InBlock] | None" = None


class InBlock(Struct, frozen=True, kw_only=True):
    """A part of a message, of whatever kind; `type` says which fields mean something. Blocks of Anthropic's own tools are
    accepted as what happened."""

    type: str
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    source: MediaSource | str | None = None
    title: str | None = None
    context: str | None = None
    tool_use_id: str | None = None
    content: Any = None
    is_error: bool | None = None
    file_id: str | None = None
    tabs: Any = None
    tool_name: str | None = None


class InMessage(Struct, frozen=True, kw_only=True):
    """One message; newer clients send a system's in the middle, too, and programs that speak several protocols a
    developer's. Only an assistant's may be without `content`."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InBlock | str] | None = None

    def speaks(self, *, last: bool) -> bool:
        """Whether an assistant says it, and it is not to be gone on with as the `last`."""
        blocks = self.content if isinstance(self.content, list) else ()
        calls = any(isinstance(block, InBlock) and block.type.endswith("tool_use") for block in blocks)
        return self.role == "assistant" and (not last or calls)

    @property
    def happened(self) -> bool:
        """Whether it is what happened, wherever it stands."""
        return self.role == "assistant"


class AnthropicTool(Struct, frozen=True, kw_only=True):
    """A tool of the client's. With another `type` than "custom" it is one of Anthropic's own, and left out."""

    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    type: str | None = None


class AnthropicToolChoice(Struct, frozen=True, kw_only=True):
    """Whether a tool must be called: "any", the "tool" of this name, "none", or as the brain decides."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True, kw_only=True):
    """Whether reasoning is wanted."""

    type: str
    budget_tokens: int | None = None


class OutputFormat(Struct, frozen=True, kw_only=True):
    """The JSON Schema that an answer must follow."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct, frozen=True, kw_only=True):
    """How an answer is written."""

    format: OutputFormat | None = None
    effort: str | None = None


class CountBody(Struct, frozen=True, kw_only=True):
    """POST /v1/messages/count_tokens."""

    model: str
    messages: list[InMessage]
    system: str | list[InBlock | str] | None = None
    tools: list[AnthropicTool] | None = None
    tool_choice: AnthropicToolChoice | None = None
    thinking: Thinking | None = None


class MessagesBody(CountBody, frozen=True, kw_only=True):
    """POST /v1/messages."""

    max_tokens: int
    stream: bool | None = None
    stop_sequences: StopTexts | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


class MessageTokensCount(Struct, frozen=True, kw_only=True):
    """How long a prompt is."""

    input_tokens: int


class AnthropicUsage(Struct, frozen=True, kw_only=True):
    """Tokens read anew, found in the cache, and written."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


class TextBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Text of an answer."""

    text: str


class ThinkingBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="thinking"):
    """Reasoning; Omni signs nothing."""

    thinking: str
    signature: str = ""


class ToolUseBlock(Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_use"):
    """A call."""

    id: str
    name: str
    input: dict[str, Any]


Block = TextBlock | ThinkingBlock | ToolUseBlock


class AnthropicMessage(Struct, frozen=True, kw_only=True):
    """A whole answer, or what is known of it when it begins."""

    id: str
    model: str
    content: list[Block]
    usage: AnthropicUsage
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None


class AnthropicTextDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="text_delta"):
    """More text."""

    text: str


class ThinkingDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="thinking_delta"):
    """More reasoning."""

    thinking: str


class InputDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_json_delta"):
    """More of a call's arguments."""

    partial_json: str


class MessageStart(Struct, frozen=True, kw_only=True, tag_field="type", tag="message_start"):
    """The first event."""

    message: AnthropicMessage


class BlockStart(Struct, frozen=True, kw_only=True, tag_field="type", tag="content_block_start"):
    """A block begins, empty."""

    index: int
    content_block: Block


class BlockDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="content_block_delta"):
    """More of a block."""

    index: int
    delta: AnthropicTextDelta | ThinkingDelta | InputDelta


class BlockStop(Struct, frozen=True, kw_only=True, tag_field="type", tag="content_block_stop"):
    """A block is whole."""

    index: int


class Ended(Struct, frozen=True, kw_only=True):
    """How it ended."""

    stop_reason: StopReason
    stop_sequence: str | None


class MessageDelta(Struct, frozen=True, kw_only=True, tag_field="type", tag="message_delta"):
    """How an answer ended, and what it took."""

    delta: Ended
    usage: AnthropicUsage


class MessageStop(Struct, frozen=True, kw_only=True, tag_field="type", tag="message_stop"):
    """The last event."""


class Ping(Struct, frozen=True, kw_only=True, tag_field="type", tag="ping"):
    """Nothing."""


class AnthropicErrorObject(Struct, frozen=True, kw_only=True):
    """Why not."""

    type: str
    message: str


class AnthropicErrorResponse(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The body of a failure; also the event that a stream ends with."""

    error: AnthropicErrorObject


Event = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping | AnthropicErrorResponse
