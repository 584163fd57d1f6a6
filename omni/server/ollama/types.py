"""What Ollama's clients send and read, field by field. Times are RFC 3339, durations nanoseconds."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from omni.server.bounds import StopText, StopTexts

Number = int | float  # whole numbers may come as 4096.0


class Options(Struct, frozen=True, kw_only=True):
    """How an answer is made. Other options are about another program's memory, and are ignored."""

    num_ctx: Number | None = None
    num_predict: Number | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Number | None = None
    min_p: Number | None = None
    seed: Number | None = None
    stop: StopText | StopTexts | None = None
    repeat_penalty: Number | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None


class OllamaCalledFunction(Struct, frozen=True, kw_only=True):
    """`arguments` is an object; some clients send it as text. Whatever else they are is kept as it is."""

    name: str | None = None
    arguments: Any = None


class Called(Struct, frozen=True, kw_only=True):
    """A call in a message that is sent back."""

    function: OllamaCalledFunction = OllamaCalledFunction()
    id: str | None = None


class OllamaMessage(Struct, frozen=True, kw_only=True):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Called] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None

    def speaks(self, *, last: bool) -> bool:
        """Whether an assistant says it, and it is not to be gone on with as the `last`."""
        return self.role == "assistant" and (not last or bool(self.tool_calls))

    @property
    def happened(self) -> bool:
        """Whether it is what happened, wherever it stands."""
        return self.role in ("assistant", "tool")


class ToolFunction(Struct, frozen=True, kw_only=True):
    """What may be called."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OllamaTool(Struct, frozen=True, kw_only=True):
    """One tool."""

    function: ToolFunction
    type: str | None = "function"


class OllamaNamedTool(Struct, frozen=True, kw_only=True):
    """A tool's name."""

    name: str | None = None


class OllamaToolChoice(OllamaNamedTool, frozen=True, kw_only=True):
    """The tool that must be called."""

    function: OllamaNamedTool | None = None


class NamedModel(Struct, frozen=True, kw_only=True):
    """Names a model, by `model` or by its older name."""

    model: str | None = None
    name: str | None = None

    @property
    def wanted(self) -> str:
        """The name that was sent, or ""."""
        return self.model or self.name or ""


class OllamaCompletionBody(NamedModel, frozen=True, kw_only=True):
    """What chat and generate have in common. Without `stream` the answer comes as a stream."""

    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: Number | str | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class OllamaChatBody(OllamaCompletionBody, frozen=True, kw_only=True):
    """POST /api/chat."""

    messages: list[OllamaMessage] | None = None
    tools: list[OllamaTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | OllamaToolChoice | None = None


class GenerateBody(OllamaCompletionBody, frozen=True, kw_only=True):
    """POST /api/generate."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class EmbedBody(NamedModel, frozen=True, kw_only=True):
    """POST /api/embed."""

    input: str | list[str] | None = None
    truncate: bool | None = None
    dimensions: int | None = None
    options: Options | None = None
    keep_alive: Number | str | None = None


class OldEmbedBody(NamedModel, frozen=True, kw_only=True):
    """POST /api/embeddings."""

    prompt: str | None = None
    options: Options | None = None
    keep_alive: Number | str | None = None


class PullBody(NamedModel, frozen=True, kw_only=True):
    """POST /api/pull."""

    stream: bool | None = None
    insecure: bool | None = None


class Details(Struct, frozen=True, kw_only=True):
    """What a model is made of. Zed refuses a whole list for one missing field."""

    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class ListedModel(Struct, frozen=True, kw_only=True):
    """One model of /api/tags."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details
    capabilities: list[str]


class Tags(Struct, frozen=True, kw_only=True):
    """GET /api/tags."""

    models: list[ListedModel]


class RunningModel(Struct, frozen=True, kw_only=True):
    """One model of /api/ps."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int
    context_length: int


class Processes(Struct, frozen=True, kw_only=True):
    """GET /api/ps."""

    models: list[RunningModel]


class ShownModel(Struct, frozen=True, kw_only=True):
    """POST /api/show."""

    license: str
    modelfile: str
    parameters: str
    template: str
    system: str
    details: Details
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class Version(Struct, frozen=True, kw_only=True):
    """GET /api/version."""

    version: str


class Function(Struct, frozen=True, kw_only=True):
    """A call of the brain's; `arguments` is an object."""

    index: int
    name: str
    arguments: dict[str, Any]


class Call(Struct, frozen=True, kw_only=True):
    """A call with its id."""

    id: str
    function: Function


class Said(Struct, frozen=True, kw_only=True):
    """The message of a line."""

    role: Literal["assistant"] = "assistant"
    content: str = ""
    thinking: str | UnsetType = UNSET
    tool_calls: list[Call] | UnsetType = UNSET


class TopLogprob(Struct, frozen=True, kw_only=True):
    """A token that was possible."""

    token: str
    logprob: float
    bytes: list[int]


class Logprob(TopLogprob, frozen=True, kw_only=True):
    """How likely a token was."""

    top_logprobs: list[TopLogprob] | UnsetType = UNSET


class AnswerLine(Struct, frozen=True, kw_only=True):
    """What each line of an answer has; the last one has the rest, too."""

    model: str
    created_at: str
    done: bool
    done_reason: str | UnsetType = UNSET
    total_duration: int | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET
    logprobs: list[Logprob] | UnsetType = UNSET


class ChatLine(AnswerLine, frozen=True, kw_only=True):
    """One line of /api/chat."""

    message: Said


class GenerateLine(AnswerLine, frozen=True, kw_only=True):
    """One line of /api/generate."""

    response: str
    thinking: str | UnsetType = UNSET


class Embedded(Struct, frozen=True, kw_only=True):
    """POST /api/embed."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class OldEmbedded(Struct, frozen=True, kw_only=True):
    """POST /api/embeddings."""

    embedding: list[float]


class Pulling(Struct, frozen=True, kw_only=True):
    """One line of /api/pull."""

    status: str
    digest: str | UnsetType = UNSET
    total: int | UnsetType = UNSET
    completed: int | UnsetType = UNSET


class OllamaErrorResponse(Struct, frozen=True, kw_only=True):
    """Why not."""

    error: str
