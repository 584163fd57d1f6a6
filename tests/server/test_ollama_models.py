"""Ollama's lists, as strictly as its strictest clients read them."""

import asyncio
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from omni.cartridges import BrainAdapter, Projector, PullDone, PullProgress, PullStarted, PullVerifying, begin_pull
from omni.cli.main import COMMANDS
from omni.core.errors import NetworkBlocked
from omni.engine import ScriptedEngine
from omni.server.errors import BadParameter
from omni.server.guard import Caller
from omni.server.ollama.keeping import keeping_of
from omni.server.ollama.models import digest, human
from omni.server.ollama.pulls import pulls_of
from omni.server.ollama.times import FOREVER, duration
from tests.server.server_tools import base, brain


class ZedDetails(msgspec.Struct):
    """What Zed reads with serde: a missing field fails the whole list."""

    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class ZedModel(msgspec.Struct):
    name: str
    modified_at: datetime
    size: int
    digest: str
    details: ZedDetails


class ZedModels(msgspec.Struct):
    models: list[ZedModel]


def known(*, template: str = "{{ messages }}", path: str = "/models/test.gguf", **more: Any) -> Any:
    return brain("@omni/test", base=base(path, chat_template=template), **more)


async def test_who_is_there(serving: Any) -> None:
    async with serving() as bench:
        for method in ("GET", "HEAD"):
            response = await bench.client.request(method, "/")
            assert (response.status_code, response.text) == (200, "Ollama is running" if method == "GET" else "")
        version = (await bench.client.get("/api/version")).json()
        assert tuple(map(int, version["version"].split("."))) >= (0, 6, 4)


async def test_the_list_has_every_field_of_every_kind_of_brain(serving: Any) -> None:
    vectors = msgspec.structs.replace(brain("embed", base=base(kind="embedding", width=384)), state="not chat")
    async with serving() as bench:
        bench.services.library.known = [known(), brain("plug-in"), vectors, brain("far", base=None)]
        bench.services.library.known[3] = msgspec.structs.replace(bench.services.library.known[3], state="available")
        bench.services.set("serve", aliases={"gpt-4o": "@omni/test", "lost": "nobody"})
        answer = await bench.client.get("/api/tags")
        zed = msgspec.json.decode(answer.content, type=ZedModels).models
        assert [one.name for one in zed] == ["@omni/test", "plug-in", "embed", "gpt-4o"]
        first, plug_in, embed, alias = answer.json()["models"]
        assert first == {
            "name": "@omni/test",
            "model": "@omni/test",
            "modified_at": first["modified_at"],
            "size": 1000,
            "digest": first["digest"],
            "details": {
                "parent_model": "",
                "format": "gguf",
                "family": "llama",
                "families": ["llama"],
                "parameter_size": "134.52M",
                "quantization_level": "Q4_1",
            },
            "capabilities": ["completion", "tools"],
        }
        assert len(first["digest"]) == len(plug_in["digest"]) == 64
        assert embed["capabilities"] == ["embedding"]
        shown = (await bench.client.post("/api/show", json={"model": "embed"})).json()
        assert shown["capabilities"] == ["embedding"]
        assert shown["model_info"]["llama.embedding_length"] == 384
        assert (alias["model"], alias["digest"]) == ("gpt-4o", first["digest"])


def test_brains_on_one_file_have_digests_of_their_own() -> None:
    plain, file = known(), msgspec.structs.replace(base(), sha256="ab" * 32)
    others = {
        "another name": brain("@me/other", base=base()),
        "another file": brain("@omni/test", base=file),
        "a template of its own": brain("@omni/test", base=msgspec.structs.replace(base(), template="{{ 1 }}")),
        "eyes": brain(
            "@omni/test", base=msgspec.structs.replace(base(), projector=Projector(path="/mmproj.gguf", size=9))
        ),
        "a prompt": known(prompt="Be brief."),
        "another prompt": known(prompt="Be long."),
        "sampling": known(sampling={"temperature": 0.2, "stop": ("a",)}),
        "other sampling": known(sampling={"temperature": 0.3, "stop": ("a",)}),
        "an adapter": known(adapter=BrainAdapter(path="/a.gguf", sha256="cd" * 32)),
        "half of it": known(adapter=BrainAdapter(path="/a.gguf", sha256="cd" * 32, scale=0.5)),
        "another adapter": known(adapter=BrainAdapter(path="/a.gguf", sha256="ef" * 32)),
        "a context": known(context=1024),
        "a plug-in's": brain("@omni/test"),
    }
    digests = [digest(each) for each in (plain, *others.values())]
    assert len(set(digests)) == len(digests)
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in digests)
    turned = known(sampling={"stop": ["a"], "temperature": 0.2})  # as it is read from another place
    assert digest(turned) == digest(others["sampling"])
    loaded = msgspec.structs.replace(plain, state="ready", verified="by Omni on 2026-11-30", title="Test")
    assert digest(loaded) == digest(plain)


async def test_lists_and_pulls_tell_one_digest(serving: Any) -> None:
    async def pulling(name: str) -> Any:
        yield PullStarted(brain=name, size=100)
        yield PullDone(brain=known())

    async with serving() as bench:
        other = brain("@me/other", base=base(), prompt="Be brief.")
        bench.services.library.known = [known(), other]
        bench.services.fake_keeper.load(known())
        bench.services.pulling = pulling
        tags = (await bench.client.get("/api/tags")).json()["models"]
        assert [one["digest"] for one in tags] == [digest(known()), digest(other)]
        (loaded,) = (await bench.client.get("/api/ps")).json()["models"]
        assert (loaded["name"], loaded["digest"]) == ("@omni/test", digest(known()))
        lines = (await bench.client.post("/api/pull", json={"name": "@omni/test"})).content.splitlines()
        (pulled,) = [line for line in map(msgspec.json.decode, lines) if line.get("completed") == line.get("total", 0)]
        assert pulled["digest"] == f"sha256:{digest(known())}"


async def test_what_a_brain_can_is_read_from_its_file(serving: Any, tmp_path: Path) -> None:
    file = tmp_path / "coder.gguf"
    marks = (b"<|fim_prefix|>", b"<|fim_suffix|>", b"<|fim_middle|>")
    file.write_bytes(b"GGUF" + b"".join(len(mark).to_bytes(8, "little") + mark for mark in marks))
    coder = known(
        template="{% if enable_thinking %}<think>{% endif %}",
        path=str(file),
        prompt="You write code.",
        licence="MIT",
        sampling={"temperature": 0.2, "stop": ["<|im_end|>", 'a "b"']},
    )
    async with serving() as bench:
        bench.services.library.known = [coder]
        for body in ({"model": "@omni/test"}, {"name": "@omni/test:latest"}):
            shown = (await bench.client.post("/api/show", json=body)).json()
            assert shown["capabilities"] == ["completion", "tools", "insert", "thinking"]
            assert ".Suffix" in shown["template"]
            assert ".Tools" in shown["template"], "the brain calls them, though its own template knows none"
            assert shown["system"] == "You write code."
            assert shown["license"] == "MIT"
            info = shown["model_info"]
            assert info["general.architecture"] == "llama"
            assert info["llama.context_length"] == 4096  # what fits here; clients fill what they are told
            assert info["omni.context_length.trained"] == 8192
            assert info["general.basename"] == "Test 135M"
            lines = [line.split(maxsplit=1) for line in shown["parameters"].split("\n")]
            assert lines == [
                ["num_ctx", "4096"],
                ["temperature", "0.2"],
                ["stop", '"<|im_end|>"'],
                ["stop", '"a \\"b\\""'],
            ]
        file.write_bytes(b"GGUF")
        shown = (await bench.client.post("/api/show", json={"model": "@omni/test"})).json()
        assert ".Suffix" not in shown["template"]
        missing = await bench.client.post("/api/show", json={"model": "llama3"})
        assert missing.status_code == 404
        assert "Installed: @omni/test" in missing.json()["error"]
        assert (await bench.client.post("/api/show", json={})).status_code == 400


async def test_what_is_loaded(serving: Any) -> None:
    async with serving() as bench:
        bench.services.library.known = [known()]
        assert (await bench.client.get("/api/ps")).json() == {"models": []}
        bench.services.fake_keeper.load(known())
        bench.services.fake_keeper.load(known())  # for vectors
        (one,) = (await bench.client.get("/api/ps")).json()["models"]
        assert (one["name"], one["model"], one["size"], one["size_vram"]) == ("@omni/test", "@omni/test", 1 << 28, 0)
        assert one["context_length"] == 4096
        bench.services.vram = {1: 1 << 20}
        assert (await bench.client.get("/api/ps")).json()["models"][0]["size_vram"] == 1 << 20
        left = datetime.fromisoformat(one["expires_at"]).timestamp() - time.time()
        assert 290 < left <= 301
        await bench.client.post("/api/chat", json={"model": "", "messages": []})


async def test_keep_alive_holds_lets_go_and_ends_only_what_is_idle(serving: Any) -> None:
    async with serving() as bench:
        keeper = bench.services.fake_keeper
        bench.services.library.known = [known()]
        keeper.load(known())
        ask = {"model": "@omni/test", "messages": [{"role": "user", "content": "Hi"}], "stream": False}

        async def chat(**more: Any) -> dict[str, Any]:
            return dict((await bench.client.post("/api/chat", json=ask | more)).json())

        await chat(keep_alive=-1)
        assert len(keeper.leases) == 1
        (one,) = (await bench.client.get("/api/ps")).json()["models"]
        assert datetime.fromisoformat(one["expires_at"]).year > 2100
        await chat(keep_alive="30m")
        assert len(keeper.leases) == 1
        keeper.running[0] = msgspec.structs.replace(keeper.running[0], turns=1)  # the shell asks it, too
        await chat(keep_alive=0)
        assert (keeper.leases, keeper.stopped) == ([], [])
        keeper.running[0] = msgspec.structs.replace(keeper.running[0], turns=0)
        await chat(keep_alive=0)
        assert keeper.stopped == ["worker-1"]
        keeper.load(known())
        keeper.ended.clear()
        await chat(keep_alive=0.01)
        await asyncio.wait_for(keeper.ended.wait(), 20)
        refused = await bench.client.post("/api/chat", json=ask | {"keep_alive": "soon"})
        assert refused.status_code == 400
        assert "keep_alive" in refused.json()["error"]


async def test_a_page_of_elsewhere_has_no_say_in_how_long_a_brain_stays(serving: Any) -> None:
    async with serving() as bench:
        keeper = bench.services.fake_keeper
        bench.services.library.known = [known()]
        keeper.load(known())
        ask = {"model": "@omni/test", "messages": [{"role": "user", "content": "Hi"}], "stream": False}
        foreign = Caller(address="127.0.0.1", who="self", foreign=True)
        for caller, leases, stopped in (
            (foreign, 0, []),
            (msgspec.structs.replace(foreign, key="phone"), 1, ["worker-1"]),
        ):
            app = State(bench.app, caller)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as page:
                assert (await page.post("/api/chat", json=ask | {"keep_alive": -1})).status_code == 200
                assert len(keeper.leases) == leases
                assert (await page.post("/api/embed", json={"model": "@omni/test", "keep_alive": 0})).status_code == 200
                assert (
                    await page.post("/api/generate", json={"model": "@omni/test", "keep_alive": 0})
                ).status_code == 200
                assert keeper.stopped == stopped
                assert (await page.post("/api/chat", json=ask | {"keep_alive": "soon"})).status_code == 400


class State:
    """An application with what the guard says of the caller."""

    def __init__(self, app: Any, caller: Caller) -> None:
        self._app, self._caller = app, caller

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope | {"state": {"caller": self._caller}}, receive, send)


async def test_two_wishes_at_once_hold_one_lease(serving: Any) -> None:
    async with serving() as bench:
        keeper = bench.services.fake_keeper
        bench.services.library.known = [known()]
        keeper.load(known())
        keeping = keeping_of(bench.server)
        await asyncio.gather(keeping.used(known(), FOREVER), keeping.used(known(), FOREVER))
        assert len(keeper.leases) == 1
        await keeping.unload(known())
        assert keeper.leases == []


@pytest.mark.parametrize("path", ["chat", "generate"])
async def test_no_question_loads_and_unloads(serving: Any, path: str) -> None:
    async with serving() as bench:
        keeper = bench.services.fake_keeper
        bench.services.library.known = [known()]
        keeper.load(known())
        body: dict[str, Any] = {"model": "@omni/test", **({"messages": []} if path == "chat" else {"prompt": ""})}
        loaded = (await bench.client.post(f"/api/{path}", json=body)).json()
        assert (loaded["done"], loaded["done_reason"]) == (True, "load")
        gone = (await bench.client.post(f"/api/{path}", json=body | {"keep_alive": 0, "stream": False})).json()
        assert (gone["done"], gone["done_reason"]) == (True, "unload")
        assert keeper.stopped == ["worker-1"]
        assert gone["message" if path == "chat" else "response"] in ("", {"role": "assistant", "content": ""})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(300, 300), ("5m", 300), ("1h30m", 5400), ("1.5s", 1.5), ("0", 0), (0, 0), (-1, FOREVER), ("-1m", FOREVER)],
)
def test_durations(text: Any, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "5", "5 m", "m", "1h!", "9" * 50])
def test_what_is_no_duration(text: str) -> None:
    if text == "5":
        assert duration(text) == 5
    else:
        with pytest.raises(BadParameter):
            duration(text)


def test_numbers_of_weights_are_written_as_ollama_does() -> None:
    assert [human(n) for n in (134_515_008, 8_030_261_248, 7_000_000_000, 0)] == ["134.52M", "8.0B", "7B", "0"]


async def test_a_pull_tells_how_far_it_is(serving: Any) -> None:
    async def pulling(name: str) -> Any:
        yield PullStarted(brain=name, size=100)
        yield PullProgress(done=40, total=100)
        yield PullVerifying(done=100, total=100)
        yield PullDone(brain=known())

    async with serving() as bench:
        bench.services.pulling = pulling
        answer = await bench.client.post("/api/pull", json={"name": "@omni/test"})
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        lines = [msgspec.json.decode(line) for line in answer.content.splitlines()]
        assert [line["status"].split()[0] for line in lines] == [
            "pulling", "pulling", "pulling", "verifying", "pulling", "writing", "success",
        ]  # fmt: skip
        assert (lines[2]["completed"], lines[2]["total"]) == (40, 100)
        assert lines[2]["digest"].startswith("sha256:")
        assert lines[-1] == {"status": "success"}
        whole = await bench.client.post("/api/pull", json={"model": "@omni/test", "stream": False})
        assert whole.json() == {"status": "success"}


async def test_a_pull_that_cannot_be_says_why(serving: Any) -> None:
    shut = NetworkBlocked("The air gap is on.", hint="omni airgap off")

    async def at_once(name: str) -> Any:
        for event in list[Any]():
            yield event
        raise shut

    async def later(name: str) -> Any:
        yield PullStarted(brain=name, size=100)
        raise shut

    async with serving() as bench:
        bench.services.pulling = at_once
        for stream in (True, False):
            answer = await bench.client.post("/api/pull", json={"model": "@omni/test", "stream": stream})
            assert (answer.status_code, answer.json()) == (503, {"error": "The air gap is on. omni airgap off"})
        bench.services.pulling = later
        answer = await bench.client.post("/api/pull", json={"model": "@omni/test"})
        last = msgspec.json.decode(answer.content.splitlines()[-1])
        assert last == {"error": "The air gap is on. omni airgap off"}


@pytest.mark.parametrize("name", ["/etc/passwd", "~/x", "../x", ".", "file:///etc/passwd", "models/x.GGUF"])
async def test_a_file_of_this_machine_is_not_pulled(serving: Any, name: str) -> None:
    async with serving() as bench:  # whose library would fail, were it asked
        answer = await bench.client.post("/api/pull", json={"model": name})
        assert answer.status_code == 400
        assert "`omni pull FILE`" in answer.json()["error"]


async def test_what_is_in_use_is_not_deleted(serving: Any) -> None:
    async with serving() as bench:
        keeper = bench.services.fake_keeper
        bench.services.library.known = [known()]
        keeper.load(known(), turns=1)

        async def delete(body: dict[str, str]) -> Any:
            return await bench.client.request("DELETE", "/api/delete", json=body)

        busy = await delete({"model": "@omni/test"})
        assert busy.status_code == 409
        assert "in use" in busy.json()["error"]
        keeper.running[0] = msgspec.structs.replace(keeper.running[0], turns=0)
        done = await delete({"name": "@omni/test:latest"})
        assert (done.status_code, keeper.stopped, bench.services.removed) == (200, ["worker-1"], ["@omni/test"])
        assert (await delete({"model": "nobody"})).status_code == 404
        assert (await delete({})).status_code == 400


@pytest.mark.parametrize("path", ["copy", "create", "push", "blobs/sha256:ab"])
async def test_what_omni_does_otherwise(serving: Any, path: str) -> None:
    async with serving(ScriptedEngine()) as bench:
        answer = await bench.client.post(f"/api/{path}", json={"source": "a", "destination": "b"})
        assert answer.status_code == 501
        assert "Omni has no /api/" in answer.json()["error"]
        for command in re.findall(r"`omni (\w+)", answer.json()["error"]):
            assert command in COMMANDS


async def test_a_look_for_a_blob_is_no_wrong_method(serving: Any) -> None:
    async with serving() as bench:
        assert (await bench.client.head("/api/blobs/sha256:ab")).status_code == 501


async def test_a_pull_is_a_job_which_ends_with_its_last_client(serving: Any) -> None:
    go_on = asyncio.Event()
    begun: list[str] = []

    async def pulling(name: str) -> Any:
        begun.append(name)
        yield PullStarted(brain=name, size=100)
        await go_on.wait()
        yield PullDone(brain=known())

    async with serving() as bench:
        bench.services.pulling = pulling
        pulls, jobs = pulls_of(bench.server), bench.services.jobs
        first, second = pulls.events("@omni/test"), pulls.events("@omni/test")
        assert isinstance(await anext(first), PullStarted)
        assert isinstance(await anext(second), PullStarted)
        assert (begun, [job.about for job in jobs.running]) == (["@omni/test"], ["@omni/test"])
        await first.aclose()
        assert not jobs.running[0].over
        (job,) = jobs.running
        await second.aclose()
        await job.wait()
        assert job.state == "stopped"

        third = pulls.events("@omni/test")
        await anext(third)
        page = begin_pull(jobs, bench.services.pull, "@omni/test")
        assert page is not job
        await third.aclose()
        go_on.set()
        await page.wait()
        assert page.state == "done"


async def test_a_pull_that_somebody_stopped_is_no_success(serving: Any) -> None:
    stop: list[Any] = []

    async def pulling(name: str) -> Any:
        yield PullStarted(brain=name, size=100)
        stop.append(asyncio.get_running_loop().call_soon(bench.services.jobs.running[0].cancel))
        await asyncio.Event().wait()

    async with serving() as bench:
        bench.services.pulling = pulling
        answer = await bench.client.post("/api/pull", json={"model": "@omni/test"})
        last = msgspec.json.decode(answer.content.splitlines()[-1])
        assert last == {"error": "The pull of @omni/test was stopped. Asking again goes on from there."}


async def test_a_pull_that_is_just_being_stopped_is_joined_by_nobody(serving: Any) -> None:
    stopping, over = asyncio.Event(), asyncio.Event()

    async def pulling(name: str) -> Any:
        yield PullStarted(brain=name, size=100)
        if not stopping.is_set():
            try:
                await asyncio.Event().wait()
            finally:
                stopping.set()
                await over.wait()  # what came is stored
        yield PullDone(brain=known())

    async with serving() as bench:
        bench.services.pulling = pulling
        pulls = pulls_of(bench.server)
        first = pulls.events("@omni/test")
        await anext(first)
        await first.aclose()
        await stopping.wait()
        assert [type(event) async for event in pulls.events("@omni/test")] == [PullStarted, PullDone]
        over.set()
