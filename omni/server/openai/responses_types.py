"""What requests and answers of `/v1/responses` look like. Unknown fields are ignored, `null` is the same as a field that
is not there; an answer is a list of items, and items of an answer may be sent back as input."""

from typing import Annotated, Any, Literal, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType

from omni.server.openai.types import MOST_TOP, ChosenToken, Effort, Limit, Share, Temperature

Status = Literal["in_progress", "completed", "incomplete", "failed"]
Count = Annotated[int, Meta(ge=0, le=MOST_TOP)]

_CALLS = ("function_call", "custom_tool_call", "mcp_call", "mcp_approval_request", "program")

# -- a request


class PartIn(Struct, kw_only=True, omit_defaults=True):
    """A piece of an item: text under one of its names ("input_text", "output_text", "text", "refusal", …), an image
    ("input_image", whose `image_url` is a `data:` address in base64), or a file ("input_file", where its `file_data` is
    text). What no brain here reads may stand in messages that were answered."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


class ItemIn(Struct, kw_only=True, omit_defaults=True):
    """One item of the input.

    `type` is message (the default; it needs `role` and `content`), function_call (`call_id`, `name`, `arguments`),
    function_call_output (`call_id`, `output`), item_reference (the `id` of an item of an answer that is kept), or
    reasoning, which is accepted and not read again. Calls and results of all other tools are accepted as what happened;
    the other fields are theirs.
    """

    type: str | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[PartIn | str] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    output: Any = None
    input: Any = None
    action: Any = None
    actions: Any = None
    operation: Any = None
    queries: Any = None
    code: Any = None
    results: Any = None
    outputs: Any = None
    result: Any = None
    error: Any = None
    revised_prompt: Any = None
    server_label: str | None = None
    tools: Any = None
    approval_request_id: str | None = None
    approve: bool | None = None
    reason: str | None = None
    status: str | None = None
    phase: str | None = None
    text: Any = None

    @property
    def kind(self) -> str:
        """What it is, where its type is left out, too."""
        return self.type or "message"

    @property
    def is_call(self) -> bool:
        """Whether it is the call of a tool, whosever it is."""
        return self.kind in _CALLS or self.kind.endswith("_call")

    @property
    def is_result(self) -> bool:
        """Whether it is the result of one."""
        return self.kind == "mcp_approval_response" or self.kind.endswith("_output")

    def speaks(self, *, last: bool) -> bool:
        """Whether an assistant says it, and it is not to be gone on with as the `last`."""
        said = self.kind == "message" and self.role == "assistant"
        return self.kind == "reasoning" or self.is_call or (said and not last)

    @property
    def happened(self) -> bool:
        """Whether it is what happened, wherever it stands."""
        return self.is_call or self.is_result or (self.kind == "message" and self.role == "assistant")


def is_reference(item: ItemIn) -> bool:
    """Whether an item stands for one of an answer that is kept."""
    return item.type == "item_reference" or (item.type is None and item.role is None and item.id is not None)


class ResponseTool(Struct, kw_only=True):
    """A tool. Only those of type "function" can be called, and those in the `tools` of a "namespace"; others are left out,
    and the answer's `tools` shows it."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    tools: "list[ResponseTool] | None" = None


class NamedTool(Struct, kw_only=True, omit_defaults=True):
    """A tool of the request by its name."""

    type: str = "function"
    name: str | None = None


class ChoiceIn(Struct, kw_only=True, omit_defaults=True):
    """One function that must be called (type "function"), or those that may be (type "allowed_tools")."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[NamedTool] | None = None


class FormatIn(Struct, kw_only=True, omit_defaults=True):
    """What kind of text the answer is; "json_schema" needs a `schema`, which a grammar forces."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextIn(Struct, kw_only=True, omit_defaults=True):
    """How the text of the answer is to be."""

    format: FormatIn | None = None
    verbosity: str | None = None


class ReasoningIn(Struct, kw_only=True):
    """Whether the brain thinks first, where it knows how: "none" and "minimal" switch it off."""

    effort: Effort | None = None
    summary: str | None = None


class ResponseBody(Struct, kw_only=True):
    """A request for an answer. Without `store`: false it is kept, and another may go on from it."""

    model: str | None = None
    input: str | list[ItemIn] = []
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChoiceIn | None = None
    parallel_tool_calls: bool | None = None
    text: TextIn | None = None
    reasoning: ReasoningIn | None = None
    max_output_tokens: Limit | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_logprobs: Count | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    max_tool_calls: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    background: bool | None = None
    conversation: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None


# -- the answer


class OutputText(Struct, kw_only=True, tag_field="type", tag="output_text"):
    """Text of the answer."""

    text: str
    annotations: list[dict[str, Any]] = []
    logprobs: list[ChosenToken] = []


class SummaryText(Struct, kw_only=True, tag_field="type", tag="summary_text"):
    """What the brain thought."""

    text: str


class MessageItem(Struct, kw_only=True, tag_field="type", tag="message"):
    """What the brain says."""

    id: str
    status: Status
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class CallItem(Struct, kw_only=True, tag_field="type", tag="function_call"):
    """A call that the brain asks for; `arguments` is a JSON object as text. `namespace` is that of the tool, if it has
    one."""

    id: str
    status: Status
    call_id: str
    name: str
    arguments: str
    namespace: str | UnsetType = UNSET


class ReasoningItem(Struct, kw_only=True, tag_field="type", tag="reasoning"):
    """What the brain thought before it answered."""

    id: str
    summary: list[SummaryText]
    encrypted_content: None = None


Item = MessageItem | CallItem | ReasoningItem


class InputDetails(Struct):
    """Of the input's tokens, those that needed no reading."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Struct):
    """Of the answer's tokens, those that were reasoning."""

    reasoning_tokens: int = 0


class ResponseUsage(Struct, kw_only=True):
    """What an answer took, in tokens."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseError(Struct):
    """Why there is no answer."""

    code: str
    message: str


class IncompleteDetails(Struct):
    """Why an answer is not whole: its limit, or the end of the context."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class FunctionTool(Struct, kw_only=True, tag_field="type", tag="function"):
    """A function that could be called, as the request has it."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = True


class NamespaceTool(Struct, kw_only=True, tag_field="type", tag="namespace"):
    """Functions that could be called by two names, as the request has them."""

    name: str
    description: str | None = None
    tools: list[FunctionTool]


class ResponseObject(Struct, kw_only=True):
    """An answer, whole or at one moment. What the request said comes back with it; where it said nothing, how tokens are
    chosen is what the brain does of its own, and `max_output_tokens` is null where an answer may take all that is left.
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    output: list[Item]
    usage: ResponseUsage | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool
    tools: list[FunctionTool | NamespaceTool]
    tool_choice: Literal["none", "auto", "required"] | ChoiceIn
    parallel_tool_calls: bool
    text: TextIn
    reasoning: ReasoningIn
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float
    top_p: float
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int = 0
    metadata: dict[str, str]
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    truncation: Literal["disabled"] = "disabled"
    background: Literal[False] = False
    service_tier: Literal["default"] = "default"
    conversation: None = None
    prompt: None = None


class Deleted(Struct):
    """An answer that is kept no longer."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class ItemList(Struct, kw_only=True):
    """What a kept answer was made from: a part of its items. They have the form of items of an answer, and ids."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class InputTokens(Struct, kw_only=True):
    """How long a prompt is."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


# -- the events of a stream, numbered from 0


class ResponseEvent(Struct, kw_only=True, tag_field="type"):
    """What all events have."""

    sequence_number: int


class Created(ResponseEvent, tag="response.created"):
    """The request was admitted."""

    response: ResponseObject


class InProgress(ResponseEvent, tag="response.in_progress"):
    """The answer is being written, or waits for its turn."""

    response: ResponseObject


class Completed(ResponseEvent, tag="response.completed"):
    """The last event: the answer is whole."""

    response: ResponseObject


class NotCompleted(ResponseEvent, tag="response.incomplete"):
    """The last event: the answer was cut by its limit."""

    response: ResponseObject


class ResponseFailed(ResponseEvent, tag="response.failed"):
    """The last event: the brain failed."""

    response: ResponseObject


class ItemAdded(ResponseEvent, tag="response.output_item.added"):
    """An item begins."""

    output_index: int
    item: Item


class ItemDone(ResponseEvent, tag="response.output_item.done"):
    """An item is whole."""

    output_index: int
    item: Item


class OfItem(ResponseEvent):
    """What happens to an item."""

    item_id: str
    output_index: int


class ItemFields(TypedDict):
    """The fields of OfItem."""

    sequence_number: int
    item_id: str
    output_index: int


class PartAdded(OfItem, tag="response.content_part.added"):
    """A part of a message begins."""

    content_index: int
    part: OutputText


class PartDone(OfItem, tag="response.content_part.done"):
    """A part of a message is whole."""

    content_index: int
    part: OutputText


class TextMore(OfItem, tag="response.output_text.delta"):
    """More of the text."""

    content_index: int
    delta: str
    logprobs: list[ChosenToken] = []


class TextDone(OfItem, tag="response.output_text.done"):
    """The whole text."""

    content_index: int
    text: str
    logprobs: list[ChosenToken] = []


class ArgumentsMore(OfItem, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    delta: str


class ArgumentsDone(OfItem, tag="response.function_call_arguments.done"):
    """The whole arguments of a call."""

    name: str
    arguments: str


class SummaryAdded(OfItem, tag="response.reasoning_summary_part.added"):
    """The brain begins to think."""

    summary_index: int
    part: SummaryText


class SummaryMore(OfItem, tag="response.reasoning_summary_text.delta"):
    """More of what the brain thinks."""

    summary_index: int
    delta: str


class SummaryDone(OfItem, tag="response.reasoning_summary_text.done"):
    """All that the brain thought."""

    summary_index: int
    text: str


class SummaryPartDone(OfItem, tag="response.reasoning_summary_part.done"):
    """The brain has thought."""

    summary_index: int
    part: SummaryText


Event = (
    Created
    | InProgress
    | ItemAdded
    | PartAdded
    | TextMore
    | TextDone
    | PartDone
    | ArgumentsMore
    | ArgumentsDone
    | SummaryAdded
    | SummaryMore
    | SummaryDone
    | SummaryPartDone
    | ItemDone
    | Completed
    | NotCompleted
    | ResponseFailed
)
