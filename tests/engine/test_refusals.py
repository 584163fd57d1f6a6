"""What llama.cpp's server says when it refuses, word by word, and whose fault each of it is taken for."""

import json
import mmap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import BadFile, ContextOverflow, EngineError, OmniError, UsageError
from omni.core.events import EngineEvent, ToolCallDelta
from omni.core.messages import Message
from omni.engine import ChatRequest, CompletionRequest, NotReady, Sampling, Tool
from omni.engine.llama import template_fault
from omni.engine.refusals import LONGEST_WORDS, Misasked, OutOfMemory, Unreadable, WrongField, meant
from omni.engine.scripted_worker import VOCABULARY
from tests.engine.conftest import Make
from tests.engine.engine_tools import asked, collect, events_of, real_spec, scripted_spec, text_of

NO_PARSER = "Unable to generate parser for this template. Automatic parser generation failed: "
WHERE = "\n------------\nWhile executing {} at line 3, column 56 in source:\n...{{{{ x }}}}...\n   ^\nError: {}"
# Status, type and message as the sources of the pinned engine have them; what it is taken for; words that a client reads.
SAID: list[tuple[int, str, str, type[OmniError], str]] = [
    # the history, in the words of the brain's own template, on both ways that templates are run
    (400, "invalid_request_error", NO_PARSER + WHERE.format("CallExpression", "Jinja Exception: No user query found in messages."), UsageError, "It says: No user query found in messages"),
    (500, "server_error", WHERE.format("CallExpression", "Jinja Exception: After the optional system message, roles must alternate"), UsageError, "roles must alternate"),
    (400, "invalid_request_error", NO_PARSER + WHERE.format("BinaryExpression", 'Unknown operator "+" between String and Integer'), UsageError, "cannot write this conversation: Unknown operator"),
    (500, "server_error", WHERE.format("FilterExpression", "Unknown (built-in) filter 'x' for type Array"), UsageError, "cannot write this conversation"),
    (500, "server_error", "\nError executing MemberExpression at position 12: Cannot access property", UsageError, "Cannot access property"),
    (400, "invalid_request_error", NO_PARSER + "NotImplemented: String join builtin not implemented", UsageError, "NotImplemented"),
    (400, "invalid_request_error", "Cannot have 2 or more assistant messages at the end of the list.", UsageError, "cannot go on from"),
    (400, "invalid_request_error", "Cannot continue an assistant message that contains tool calls.", UsageError, "cannot go on from"),
    (500, "server_error", "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101] …", UsageError, "no JSON object"),
    # too long
    (400, "exceed_context_size_error", "request (3000 tokens) exceeds the available context size (2048 tokens), try increasing it", ContextOverflow, "does not fit"),
    (400, "exceed_context_size_error", "input (9 tokens) is larger than the max context size (8 tokens). skipping", ContextOverflow, "does not fit"),
    (500, "server_error", "input (1500 tokens) is too large to process. increase the physical batch size (current batch size: 1024)", ContextOverflow, "1,500 tokens; 1,024"),
    # schemas
    (400, "invalid_request_error", NO_PARSER + "JSON schema error at #: cannot resolve $ref #/nope, nope not found", UsageError, "cannot resolve"),
    (400, "invalid_request_error", "JSON schema conversion failed:\nUnrecognized schema: 7", UsageError, "Unrecognized schema: 7"),
    (400, "invalid_request_error", "Field 'json_schema': \"json_schema\": something else", UsageError, "something else"),
    (400, "invalid_request_error", "Failed to initialize samplers: failed to parse grammar", UsageError, "can make no grammar"),
    (400, "invalid_request_error", "number of rules that are going to be repeated multiplied by the new repetition exceeds sane defaults", UsageError, "can make no grammar"),
    (500, "server_error", "got exception: Unexpected empty grammar stack after accepting piece: x", UsageError, "admits nothing"),
    # other fields
    (400, "invalid_request_error", "logprobs is not supported with tools + stream", UsageError, "`logprobs`"),
    (400, "invalid_request_error", "Input content cannot be empty", UsageError, "no tokens"),
    (500, "server_error", "the current context does not support logits computation. skipping", UsageError, "/v1/embeddings"),
    (500, "server_error", "Failed to load image or audio file", UsageError, "cannot be decoded"),
    (500, "server_error", "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", UsageError, "cannot see"),
    (500, "server_error", "Failed to tokenize prompt", UsageError, "eyes cannot take"),
    (500, "server_error", "Multimodal data provided, but model does not support multimodal requests.", UsageError, "cannot see"),
    # soon
    (503, "unavailable_error", "Loading model", NotReady, "still being loaded"),
    # the brain, this time
    (500, "server_error", "Context size has been exceeded.", EngineError, "ran out of room"),
    (500, "server_error", "Compute error.", EngineError, "Compute error"),
    (500, "server_error", "Invalid input batch.", EngineError, "Invalid input batch"),
    (500, "server_error", "failed to get logits", EngineError, "failed to get logits"),
    (500, "server_error", "failed to get embeddings", EngineError, "failed to get embeddings"),
    (500, "server_error", "failed to process mtmd chunk", EngineError, "mtmd"),
    (500, "server_error", "The model produced output that does not match the expected peg-native format", Unreadable, "its own template"),
    (500, "server_error", "Invalid diff: 'a' not found at start of 'b'", Unreadable, "its own template"),
    (401, "authentication_error", "Invalid API Key", EngineError, "Invalid API Key"),
    # what the brain is made with
    (500, "server_error", "this custom template is not supported, try using --jinja", Misasked, "a chat template that this engine"),
    (500, "server_error", "failed to apply chat template, try using --jinja", Misasked, "a chat template that this engine"),
    # what no second try mends, though a smaller request may do
    (400, "invalid_request_error", "std::bad_alloc", OutOfMemory, "no memory for this request"),
    (500, "server_error", "got exception: std::bad_alloc", OutOfMemory, "no memory for this request"),
    # Omni itself, which made the request: no client can help it, and no second try
    (400, "invalid_request_error", "Field 'temperature': [json.exception.type_error.302] type must be number, but is string", Misasked, "'temperature'"),
    (400, "invalid_request_error", "Failed to initialize samplers: penalty_repeat must be finite and greater than 0", Misasked, "penalty_repeat"),
    (400, "invalid_request_error", "Prompt contains invalid tokens", Misasked, "invalid tokens"),
    (400, "invalid_request_error", '"prompt" must not be empty', Misasked, "must not be empty"),
    (400, "invalid_request_error", "[json.exception.parse_error.101] parse error at line 1", Misasked, "parse error"),
    (400, "invalid_request_error", "Cannot use custom grammar constraints with tools.", Misasked, "grammar constraints"),
    (400, "invalid_request_error", "Pooling type 'none' is not OAI compatible. Please use a different pooling type", Misasked, "Pooling"),
    (500, "server_error", "tools param requires --jinja flag", Misasked, "--jinja"),
    (500, "server_error", "Cannot use both json_schema and grammar", Misasked, "json_schema and grammar"),
    (500, "server_error", "Cannot specify grammar with tools", Misasked, "grammar with tools"),
    (500, "server_error", "Failed to parse messages: Missing 'role' in message: {}", Misasked, "Missing 'role'"),
    (500, "server_error", "Failed to parse tools: Missing tool type: {}; tools = []", Misasked, "Missing tool type"),
    (500, "server_error", "Invalid base64 value", Misasked, "base64"),
    (500, "server_error", "Unknown reasoning format: x", Misasked, "reasoning format"),
    (404, "not_found_error", "File Not Found", Misasked, "File Not Found"),
    (501, "not_supported_error", "This server does not support embeddings. Start it with `--embeddings`", Misasked, "embeddings"),
]  # fmt: skip


def exactly(error: OmniError, kind: type[OmniError]) -> bool:
    """Whether it is of this kind in what a client sees: a field that is wrong is a request that is."""
    return type(error) is kind or (type(error) is WrongField and kind is UsageError)


@pytest.mark.parametrize(("status", "kind", "message", "error", "words"), SAID, ids=lambda part: str(part)[:40])
def test_whose_fault_it_is(status: int, kind: str, message: str, error: type[OmniError], words: str) -> None:
    said = {"code": status, "type": kind, "message": message, "n_prompt_tokens": 9, "n_ctx": 8}
    for told in (meant(status, said), meant(0, said)):  # as an answer, and in a stream
        assert exactly(told, error), told
        assert words in told.message + told.hint
        assert "\n" not in told.message
        assert ".." not in told.message


@pytest.mark.parametrize(("status", "kind", "message", "error", "words"), SAID, ids=lambda part: str(part)[:40])
def test_no_other_status_changes_whose_fault_it_is(
    status: int, kind: str, message: str, error: type[OmniError], words: str
) -> None:
    if error in (Misasked, NotReady) or message in ("Compute error.", "Invalid input batch.", "Invalid API Key"):
        return  # of what is not known by its words the status says whether another try may help
    for other in (400, 500):
        told = meant(other, {"code": other, "type": kind, "message": message})
        assert error is EngineError or exactly(told, error), told


def test_words_of_others_have_an_end() -> None:
    told = meant(400, {"message": f"Jinja Exception: {'x' * 100_000}"})
    assert len(told.message) < LONGEST_WORDS + 200
    assert told.message.endswith("x ….")


@pytest.mark.parametrize("status", [413, 500])
def test_a_status_without_words_is_told(status: int) -> None:
    assert meant(status, {"message": ""}).message == f"The brain's process answered with {status}."


@pytest.mark.parametrize("figures", [{}, {"n_prompt_tokens": "many"}, {"n_ctx": []}, {"n_prompt_tokens": -1}])
def test_an_overflow_without_figures_is_one(figures: dict[str, Any]) -> None:
    told = meant(400, {"type": "exceed_context_size_error", "message": "too long", **figures})
    assert isinstance(told, ContextOverflow)
    assert (told.needed, told.allocated) == (0, 0)


def refusing(path: str, status: int = 400, **said: Any) -> Any:
    """A worker that answers `path` with an error."""
    return scripted_spec(refuse=json.dumps({path: {"code": status, "type": "invalid_request_error", **said}}))


async def test_a_template_is_quoted_on_every_way_to_it(worker_engine: Make) -> None:
    message = NO_PARSER + WHERE.format("CallExpression", "Jinja Exception: Only user and assistant roles!")
    async with worker_engine(refusing("/v1/chat/completions/input_tokens", message=message)) as engine:
        with pytest.raises(UsageError, match="Only user and assistant roles!"):
            await events_of(engine, asked("Hi"))
        with pytest.raises(UsageError, match="Only user and assistant roles!"):
            await engine.count_tokens((Message.of("user", "Hi"),))


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("/v1/chat/completions", "chat"),
        ("/completion", "complete"),
        ("/tokenize", "tokenize"),
        ("/props", "capabilities"),
        ("/v1/models", "biased"),
    ],
)
async def test_every_path_is_judged_alike(worker_engine: Make, path: str, ask: str) -> None:
    async def act(engine: Any) -> None:
        match ask:
            case "tokenize":
                await engine.tokenize("x")
            case "capabilities":
                await engine.capabilities()
            case "complete":
                async for _ in engine.complete(CompletionRequest(prompt="one two")):
                    pass
            case _:
                bias = ((1, 5.0),) if ask == "biased" else ()
                await events_of(engine, ChatRequest(messages=asked("Hi").messages, sampling=Sampling(logit_bias=bias)))

    for status, message, kind in ((400, "Something new.", Misasked), (500, "Something new.", EngineError)):
        async with worker_engine(refusing(path, status, message=message)) as engine:
            with pytest.raises(kind, match="Something new"):
                await act(engine)


async def test_vectors_are_judged_alike(worker_engine: Make) -> None:
    refuse = {
        "/v1/embeddings": {"code": 400, "type": "invalid_request_error", "message": "Input content cannot be empty"}
    }
    async with worker_engine(scripted_spec(embeddings=1, refuse=json.dumps(refuse))) as engine:
        with pytest.raises(WrongField, match="no tokens") as refused:
            await engine.embed(["x"])
    assert refused.value.param == "input"


async def test_in_the_middle_of_an_answer_the_error_tells_its_own_status(worker_engine: Make) -> None:
    for code, message, kind in (
        (500, "Compute error.", EngineError),
        (400, "Something new.", Misasked),
        (500, "got exception: Unexpected empty grammar stack", UsageError),
    ):
        fail = json.dumps({"code": code, "type": "server_error", "message": message})
        async with worker_engine(scripted_spec(fail=fail, fail_after=2)) as engine:
            heard = ""
            with pytest.raises(kind):  # noqa: PT012 - what comes before it is half of the test
                async for event in engine.chat(asked("Hi")):
                    heard += text_of([event])
            assert heard == "You said:"


@pytest.mark.parametrize("number", [VOCABULARY, 999_999_999])
async def test_a_bias_for_no_token_names_it(worker_engine: Make, number: int) -> None:
    async with worker_engine(scripted_spec()) as engine:
        wrong = Sampling(logit_bias=((3, 1.0), (number, -100.0)))
        for request in (
            ChatRequest(messages=asked("Hi").messages, sampling=wrong),
            CompletionRequest(prompt="a", sampling=wrong),
        ):
            turn = engine.chat(request) if isinstance(request, ChatRequest) else engine.complete(request)
            with pytest.raises(WrongField, match=f"token {number}; this brain's are 0 to 999") as refused:
                async for _ in turn:
                    pass
            assert refused.value.param == "logit_bias"
        last = Sampling(logit_bias=((VOCABULARY - 1, 1.0),))
        assert text_of(await events_of(engine, ChatRequest(messages=asked("Hi").messages, sampling=last)))


LOG = """0.00.708.977 W render_message_to_json: Neither is supported.
0.00.709.200 E srv          init: init: chat template parsing error: {}
0.00.709.224 E srv          init: init: please consider disabling jinja
"""


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (LOG.format(NO_PARSER + WHERE.format("CallExpression", "Jinja Exception: No chat here.")), "No chat here"),
        (LOG.format(NO_PARSER + WHERE.format("FilterExpression", "Unknown (built-in) filter 'x'")), "Unknown (built-in) filter 'x'"),
        (LOG.format(NO_PARSER + "NotImplemented: String join builtin"), "NotImplemented: String join builtin"),
        (
            "0.00.676.186 E common_chat_templates_init: error: parser: Parser Error: Expected }} (Got )\n...{{ m ...\n   ^\n"
            + LOG.format("std::exception"),
            "parser: Parser Error: Expected }} (Got )",
        ),
        (LOG.format(""), "nobody says why"),
        ("0.1.2.3 E srv init: exiting due to model loading error\n", ""),
        ("0.1.2.3 I srv init: a template says chat template parsing error: no\n", ""),
    ],
)  # fmt: skip
def test_the_log_tells_a_template_that_keeps_a_base_from_being_loaded(log: str, told: str) -> None:
    assert template_fault(log) == told


WORDS = (
    "Jinja Exception: ", "While executing ", "Error executing ", " at position ", "Automatic parser generation failed: ",
    "NotImplemented", "Failed to parse tool call arguments as JSON", "Cannot have 2 or more assistant messages",
    "Cannot continue an assistant message that contains tool calls", "is too large to process", "(current batch size: ",
    "is larger than the max context size", "exceed_context_size_error", "unavailable_error", "JSON schema conversion failed",
    "JSON schema error at ", "failed to parse grammar", "rules that are going to be repeated", "empty grammar stack",
    "logprobs is not supported with tools", "Input content cannot be empty", "does not support logits computation",
    "Failed to load image or audio file", "Failed to tokenize prompt", "image input is not supported",
    "model does not support multimodal requests", "custom template is not supported", "failed to apply chat template",
    "Context size has been exceeded", "does not match the expected ", "Invalid diff", "requires --jinja flag",
    "Cannot use both json_schema and grammar", "Failed to parse messages: ", "Failed to parse tools: ", "Invalid base64 value",
    "chat template parsing error", "common_chat_templates_init",
)  # fmt: skip


@pytest.mark.real
def test_the_engine_still_says_what_is_looked_for() -> None:
    """Whoever takes another version of the engine learns here which words have changed."""
    spec = find_spec("xllamacpp")
    assert spec is not None
    (folder,) = spec.submodule_search_locations or []
    missing = set(WORDS)
    for library in (*Path(folder).rglob("*.so*"), *Path(f"{folder}.libs").glob("*.so*")):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
            missing -= {words for words in missing if code.find(words.encode()) >= 0}
    assert missing == set()


ASKS_A_QUESTION = """{%- set ns = namespace(asked=false) -%}
{%- for message in messages -%}
{%- if message.role == 'user' and 'silent' not in message.content -%}{%- set ns.asked = true -%}{%- endif -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if not ns.asked -%}{{ raise_exception('There is no question.') }}{%- endif -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""


@pytest.mark.real
async def test_a_real_template_that_raises_is_about_the_history(worker_engine: Make, starter_gguf: Path) -> None:
    spec = real_spec(starter_gguf, chat_template=ASKS_A_QUESTION)
    async with worker_engine(spec) as engine:
        with pytest.raises(UsageError, match="It says: There is no question"):
            await engine.count_tokens((Message.of("user", "Be silent."),))
        assert await engine.count_tokens((Message.of("system", "Be brief."),))  # as who asks said it
        assert text_of(await events_of(engine, asked("Hello.")))


@pytest.mark.real
async def test_a_real_template_that_can_never_be_used_is_the_fault_of_the_file(
    worker_engine: Make, starter_gguf: Path
) -> None:
    for template, words in (
        ("{{ raise_exception('No chat here.') }}", "No chat here"),
        ("{% for m in messages %}{{ m.content|frobnicate }}{% endfor %}", "frobnicate"),
        ("{% for m in messages %}{{ m.content ", "Parser Error"),
    ):
        async with worker_engine(real_spec(starter_gguf, chat_template=template)) as engine:
            with pytest.raises(BadFile, match=f"its chat template cannot be used: .*{words}") as refused:
                await events_of(engine, asked("Hello."))
        assert "The template is wrong, not the request" in refused.value.hint


@pytest.mark.real
async def test_what_the_real_engine_refuses_is_judged(worker_engine: Make, starter_gguf: Path) -> None:
    async with worker_engine(real_spec(starter_gguf)) as engine:
        messages = asked("Hi").messages
        with pytest.raises(WrongField, match="token 49152; this brain's are 0 to 49151"):
            await events_of(engine, ChatRequest(messages=messages, sampling=Sampling(logit_bias=((49152, 1.0),))))
        bad = Sampling(repeat_penalty=0.0)
        with pytest.raises(Misasked, match="penalty_repeat"):
            await events_of(engine, ChatRequest(messages=messages, sampling=bad))
        twice = (*messages, Message.of("assistant", "a"), Message.of("assistant", "b"))
        assert await engine.count_tokens(twice) > await engine.count_tokens(messages)  # it goes on from both
        words = "word " * 3000
        with pytest.raises(ContextOverflow):
            await events_of(engine, asked(words))
        assert text_of(await events_of(engine, asked("Hello.")))


UNREADABLE = json.dumps({"code": 500, "message": "The model produced output that does not match the expected X format"})


async def test_what_the_engine_cannot_read_is_asked_again_with_the_tools_in_words(worker_engine: Make) -> None:
    request = asked("Hi", tools=(Tool(name="read"),))
    spec = scripted_spec(reply='{"name": "read", "arguments": {}}', fail=UNREADABLE, fail_times=1)
    async with worker_engine(spec) as engine:
        events = await events_of(engine, request)
        assert [event.name for event in events if isinstance(event, ToolCallDelta) and event.name] == ["read"]
    async with worker_engine(scripted_spec(fail=UNREADABLE)) as engine:
        with pytest.raises(EngineError, match="in a form that its own template does not know"):
            await events_of(engine, request)


async def test_what_was_said_already_is_not_said_again(worker_engine: Make) -> None:
    seen: list[EngineEvent] = []
    spec = scripted_spec(reply="one two three", fail=UNREADABLE, fail_after=2, fail_times=1)
    async with worker_engine(spec) as engine:
        with pytest.raises(EngineError, match="in a form that its own template does not know"):
            await collect(engine.chat(asked("Hi", tools=(Tool(name="read"),))), seen.append)
    assert text_of(seen) == "one two"


@pytest.mark.real
async def test_likelihoods_and_tools_of_a_template_do_not_go_together(worker_engine: Make, starter_gguf: Path) -> None:
    knows = ASKS_A_QUESTION.replace(
        "{%- for message in messages -%}\n",
        "{%- if tools -%}{%- for tool in tools -%}{{ tool | tojson }}{%- endfor -%}{%- endif -%}\n{%- for message in messages -%}\n"
        "{%- if message.tool_calls -%}{%- for call in message.tool_calls -%}"
        "{{ '<tool_call>' + call.function | tojson + '</tool_call>' }}{%- endfor -%}{%- endif -%}\n",
        1,
    ).replace("+ message.content +", "+ (message.content or '') +")
    async with worker_engine(real_spec(starter_gguf, chat_template=knows)) as engine:
        assert (await engine.capabilities()).tools
        request = ChatRequest(messages=asked("Hi").messages, tools=(Tool(name="read"),), logprobs=1)
        with pytest.raises(WrongField, match="likelihoods") as refused:
            await events_of(engine, request)
    assert refused.value.param == "logprobs"
