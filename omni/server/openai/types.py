"""What requests and answers of the chat look like. The OpenAPI document is written from these types, and requests are
checked by them: unknown fields are ignored, `null` is the same as a field that is not there."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from omni.server.bounds import StopText, StopTexts

MOST_CHOICES = 8
MOST_TOP = 20  # likeliest tokens at one place

Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Limit = Annotated[int, Meta(ge=-1, description="Tokens of the answer; without it, or with -1, all that is left.")]
TopK = Annotated[int, Meta(ge=0)]
AdapterScale = Annotated[
    float,
    Meta(ge=-4, le=4, description="How strongly the adapter of a brain applies to this answer; Omni's own field."),
]
RepeatPenalty = Annotated[float, Meta(ge=0.1, le=10)]
ChoiceCount = Annotated[int, Meta(ge=1, le=MOST_CHOICES)]
Stop = StopText | StopTexts
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Finish = Literal["stop", "length", "tool_calls", "function_call"]


class Sampled(Struct, kw_only=True):
    """How tokens are chosen; what is left out is the brain's own."""

    model: str | None = None
    max_tokens: Limit | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repeat_penalty: RepeatPenalty | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    seed: int | None = None
    adapter_scale: AdapterScale | None = None
    stop: Stop | None = None
    n: ChoiceCount | None = None
    stream: bool | None = None
    stream_options: "StreamOptions | None" = None
    response_format: "ResponseFormat | None" = None
    json_schema: dict[str, Any] | None = None  # llama.cpp's short form
    grammar: Any = None  # these are refused: no answer would keep to them
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None
    structured_outputs: Any = None


class StreamOptions(Struct):
    """What a stream holds besides the answer."""

    include_usage: bool | None = None


# -- a request for a chat


class ImageUrl(Struct):
    """An image as a `data:` address in base64: PNG, JPEG, GIF or BMP. Other addresses are refused: nothing is fetched.
    `detail` changes nothing."""

    url: str
    detail: str | None = None


class FileIn(Struct, kw_only=True):
    """A file; one that is text is read."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(Struct, kw_only=True):
    """A part of a message: "text" (or "input_text", "output_text", as responses call it), "image_url" (for brains that see),
    "file" (where it is text) or "refusal". What no brain here reads ("input_audio", other files, other types) may stand in
    messages that were answered."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: FileIn | None = None


class CalledFunction(Struct):
    """Which function, and its arguments: a JSON object as text. Whatever else they are is kept as it is."""

    name: str | None = None
    arguments: Any = None


class CustomCalled(Struct):
    """Which tool that takes text, and the text."""

    name: str | None = None
    input: Any = None


class CallIn(Struct, kw_only=True):
    """A call that an assistant asked for earlier, of a "function" or a "custom" tool."""

    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None
    custom: CustomCalled | None = None


class SpokenIn(Struct):
    """An answer that was spoken, by its id."""

    id: str | None = None


class CompletionMessage(Struct, kw_only=True):
    """One message. `reasoning_content` (or `reasoning`) of an assistant is accepted and not read again; nor are names of
    users. An object as `content` is the result of a tool."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part | str | None] | dict[str, Any] | None = None
    name: str | None = None
    tool_calls: list[CallIn | None] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    refusal: str | None = None
    audio: SpokenIn | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    def speaks(self, *, last: bool) -> bool:
        """Whether an assistant says it, and it is not to be gone on with as the `last`."""
        return self.role == "assistant" and (not last or bool(self.tool_calls or self.function_call))

    @property
    def happened(self) -> bool:
        """Whether it is what happened, wherever it stands."""
        return self.role in ("assistant", "tool", "function")


class FunctionIn(Struct, kw_only=True):
    """What may be called; `parameters` is a JSON Schema."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolIn(Struct, kw_only=True):
    """A tool. Only those of type "function" can be called; others are left out."""

    type: str = "function"
    function: FunctionIn | None = None


class NamedFunction(Struct):
    """A function by its name."""

    name: str


class AllowedTools(Struct):
    """Some of the tools of the request."""

    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class ToolChoice(Struct, kw_only=True):
    """One function that must be called, or the tools that may be."""

    type: str = "function"
    function: NamedFunction | None = None
    name: str | None = None
    allowed_tools: AllowedTools | None = None


class NamedSchema(Struct, kw_only=True):
    """A JSON Schema that a grammar makes the answer follow: types, properties, required ones, lists and their
    lengths, values to choose from, bounds of whole numbers, lengths of texts, and patterns without look-around."""

    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(Struct, kw_only=True):
    """What kind of text the answer is. The schema may stand in `json_schema`, or be the `schema` beside the type, as in
    llama.cpp's and the responses' form."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TemplateOptions(Struct):
    """Options of the brain's template, as llama.cpp and vLLM name them."""

    enable_thinking: bool | None = None


class ChatBody(Sampled, kw_only=True):
    """A request for the next message of a chat."""

    messages: Annotated[list[CompletionMessage], Meta(min_length=1)]
    max_completion_tokens: Limit | None = None
    tools: list[ToolIn] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionIn] | None = None
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MOST_TOP)] | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: TemplateOptions | None = None
    modalities: list[str] | None = None


# -- the answer


class PromptDetails(Struct):
    """Of the prompt's tokens, those that needed no reading."""

    cached_tokens: int = 0


class AnswerDetails(Struct):
    """Of the answer's tokens, those that were reasoning."""

    reasoning_tokens: int = 0


class Used(Struct, kw_only=True):
    """What a request took, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: AnswerDetails


class TopToken(Struct):
    """A token that was possible."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenToken(Struct):
    """A token of the answer and the likeliest ones at its place."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopToken]


class Logprobs(Struct):
    """How likely the tokens of the answer were."""

    content: list[ChosenToken]
    refusal: list[ChosenToken] | None = None


class FunctionOut(Struct, omit_defaults=True):
    """Name and arguments of a call; in a stream the name comes once and the arguments in pieces."""

    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class CallOut(Struct, kw_only=True):
    """A call that the assistant asks for."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionOut


class MessageOut(Struct, kw_only=True):
    """The assistant's message."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CallOut] | UnsetType = UNSET
    function_call: FunctionOut | UnsetType = UNSET


class ChatChoice(Struct, kw_only=True):
    """One of the answers."""

    index: int
    message: MessageOut
    logprobs: Logprobs | None = None
    finish_reason: Finish


class ChatAnswer(Struct, kw_only=True):
    """An answer as a whole."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Used
    system_fingerprint: str


class Delta(Struct, kw_only=True):
    """What is new in a message."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CallOut] | UnsetType = UNSET
    function_call: FunctionOut | UnsetType = UNSET


class ChunkChoice(Struct, kw_only=True):
    """What is new in one of the answers."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: Finish | None = None


class ChatChunk(Struct, kw_only=True):
    """One event of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Used | UnsetType | None = UNSET
    system_fingerprint: str
