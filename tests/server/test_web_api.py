"""The API behind the web interface, over real conversations and a scripted brain."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from omni.cartridges import begin_pull
from omni.chat import begin_turn
from omni.core.clock import SystemClock
from omni.core.errors import EngineError, NetworkBlocked, UsageError
from omni.core.events import ChatEvent, TurnStarted
from omni.core.paths import Home
from omni.core.settings import change
from omni.engine import Reply, ScriptedEngine
from omni.jobs import Job, Jobs
from omni.server import web_assets
from omni.server.webapi.hub import BEHIND, Change, PageQueue
from omni.server.webapi.pace import Pace
from tests.image_tools import png
from tests.server.web_tools import Web, web


class Browser:
    """A page of ours that has a session."""

    def __init__(self, served: Web, client: httpx.AsyncClient) -> None:
        self.served, self.client = served, client

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        response = await self.client.request(method, f"/omni/v1{path}", json=body)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    async def turn(self, path: str, body: Any) -> list[dict[str, Any]]:
        """All events of a stream."""
        response = await self.client.post(f"/omni/v1{path}", json=body)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        return events_in(response.text)

    async def talk(self, *questions: str) -> str:
        made = await self.ask("POST", "/conversations", {}, 201)
        for question in questions:
            await self.turn(f"/conversations/{made['id']}/ask", {"text": question})
        return str(made["id"])


def events_in(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def said(message: Any) -> str:
    """The words of a message."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@asynccontextmanager
async def entered(folder: Path, engine: Any = None, **more: Any) -> AsyncIterator[Browser]:
    async with (
        web(folder, engine or ScriptedEngine(), **more) as served,
        httpx.AsyncClient(base_url=served.url, timeout=20) as client,
    ):
        client.headers.update({"Origin": served.url, "Sec-Fetch-Site": "same-origin"})
        response = await client.post("/omni/session", json={"token": served.sessions.token()})
        assert response.status_code == 200, response.text
        yield Browser(served, client)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    return tmp_path / "home"


# --- who gets in


async def test_without_a_session_there_is_the_page_and_nothing_else(folder: Path) -> None:
    async with web(folder, ScriptedEngine()) as served, httpx.AsyncClient(base_url=served.url) as client:
        page = await client.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert "/assets/" in page.text
        for path in ("conversations", "brains", "settings", "plugins", "system", "changes", "doors"):
            assert (await client.get(f"/omni/v1/{path}")).status_code in (401, 403)
        refused = await client.post("/omni/session", json={"token": "wrong"})
        assert refused.status_code == 401
        assert "omni web" in refused.text


async def test_a_token_is_good_once(folder: Path) -> None:
    async with web(folder, ScriptedEngine()) as served:
        token = served.sessions.token()
        for status in (200, 401):
            async with httpx.AsyncClient(base_url=served.url) as client:
                assert (await client.post("/omni/session", json={"token": token})).status_code == status


# --- files


async def test_files_say_what_they_may_do_and_how_long_they_last(folder: Path) -> None:
    async with web(folder, ScriptedEngine()) as served, httpx.AsyncClient(base_url=served.url) as client:
        page = await client.get("/", headers={"Accept": "text/html"})
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe-eval" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["cache-control"] == "no-cache"
        assert '<style id="theme" data-name="omni-dark">' in page.text
        script = page.text.partition('src="')[2].partition('"')[0]
        response = await client.get(script)
        assert response.headers["content-type"].startswith("text/javascript")
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["x-content-type-options"] == "nosniff"
        manifest = await client.get("/manifest.webmanifest")
        assert manifest.json()["start_url"] == "/"
        for path in ("/assets/nothing.js", "/assets/..%2Findex.html", "/assets/%2e%2e/%2e%2e/app.py"):
            assert (await client.get(path)).status_code in (401, 403, 404), path


async def test_who_looks_for_ollama_finds_it_at_the_same_place(folder: Path) -> None:
    async with web(folder, ScriptedEngine()) as served, httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.get("/")).text == "Ollama is running"
        assert (await client.head("/")).status_code == 200


def test_nothing_in_the_files_is_loaded_from_elsewhere() -> None:
    page = (web_assets.FOLDER / "index.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    for path in web_assets.FOLDER.rglob("*.css"):
        text = path.read_text()
        assert "@import" not in text
        assert "url(http" not in text
        assert "url(//" not in text


# --- conversations


async def test_a_conversation_from_its_first_question_to_its_removal(folder: Path) -> None:
    async with entered(folder, ScriptedEngine(["One.", "Two.", "Three.", "Four."])) as browser:
        name = await browser.talk("What is first?")
        shown = await browser.ask("GET", f"/conversations/{name}")
        question, answer = shown["messages"]
        assert (said(question), said(answer), answer["state"]) == ("What is first?", "One.", "complete")
        assert shown["conversation"]["title"] == "What is first?"

        events = await browser.turn(f"/conversations/{name}/regenerate", {"answer": answer["id"]})
        assert events[0]["type"] == "turn_started"
        assert events[-1]["type"] == "turn_ended"
        shown = await browser.ask("GET", f"/conversations/{name}")
        assert said(shown["messages"][1]) == "Two."
        assert shown["messages"][1]["siblings"] == [answer["id"], shown["messages"][1]["id"]]
        shown = await browser.ask("POST", f"/conversations/{name}/switch", {"message": answer["id"]})
        assert said(shown["messages"][1]) == "One."

        await browser.turn(f"/conversations/{name}/edit", {"message": question["id"], "text": "What is next?"})
        shown = await browser.ask("GET", f"/conversations/{name}?last=2")
        assert [said(one) for one in shown["messages"]] == ["What is next?", "Three."]
        assert len(shown["messages"][0]["siblings"]) == 2

        changed = await browser.ask("PATCH", f"/conversations/{name}", {"title": "Numbers", "brain": "@omni/coder"})
        assert (changed["title"], changed["brain"]) == ("Numbers", "@omni/coder")
        listed = await browser.ask("GET", "/conversations?query=next")
        assert [one["title"] for one in listed["conversations"]] == ["Numbers"]
        search_reply = await browser.ask("GET", "/search?text=next")
        assert {hit["conversation"] for hit in search_reply["hits"]} == {name}

        assert (await browser.ask("POST", f"/conversations/{name}/undo"))["text"] == "What is next?"
        await browser.ask("DELETE", f"/conversations/{name}", status=204)
        failed = await browser.ask("GET", f"/conversations/{name}", status=404)
        assert failed["error"]["kind"] == "not_found"


async def test_what_is_exported_can_be_taken_in_again(folder: Path) -> None:
    async with entered(folder) as browser:
        name = await browser.talk('Is "this" an <odd> title/name?')
        text = await browser.client.get(f"/omni/v1/conversations/{name}/export")
        assert text.headers["content-disposition"] == 'attachment; filename="is-this-an-odd-title-name.md"'
        assert "A scripted answer." in text.text
        whole = await browser.client.get(f"/omni/v1/conversations/{name}/export?form=json")
        again = await browser.client.post("/omni/v1/conversations/load", content=whole.content)
        assert again.status_code == 201
        assert again.json()["id"] != name
        bad = await browser.client.post("/omni/v1/conversations/load", content=b"\xff")
        assert bad.status_code == 400


async def test_a_title_is_a_line(folder: Path) -> None:
    async with entered(folder) as browser:
        name = (await browser.ask("POST", "/conversations", {}, 201))["id"]
        await browser.ask("PATCH", f"/conversations/{name}", {"title": "x" * 201}, 400)
        assert (await browser.ask("PATCH", f"/conversations/{name}", {"title": "x" * 200}))["title"] == "x" * 200


async def test_a_list_of_many_comes_in_pages(folder: Path) -> None:
    async with entered(folder) as browser:
        for _ in range(5):
            await browser.ask("POST", "/conversations", {}, 201)
        first = await browser.ask("GET", "/conversations?limit=3")
        rest = await browser.ask("GET", "/conversations?limit=3&offset=3")
        assert (len(first["conversations"]), first["more"]) == (3, True)
        assert (len(rest["conversations"]), rest["more"]) == (2, False)
        await browser.ask("GET", "/conversations?limit=-1", status=400)


async def test_a_summary_is_a_message_of_its_own(folder: Path) -> None:
    async with entered(folder, ScriptedEngine(["One.", "In short."])) as browser:
        name = await browser.talk("A long story")
        await browser.turn(f"/conversations/{name}/compact", {})
        shown = await browser.ask("GET", f"/conversations/{name}")
        assert [(one["role"], said(one)) for one in shown["messages"]][-1] == ("summary", "In short.")


async def test_an_image_goes_along_and_is_read_again_by_its_number(folder: Path) -> None:
    engine = ScriptedEngine(["A square."], vision=True)
    async with entered(folder, engine) as browser:
        name = await browser.talk()
        files = [
            {"path": "notes.txt", "text": "<script>alert(1)</script>"},
            {"path": "p.png", "data": b64encode(png(8, 6)).decode()},
        ]
        await browser.turn(f"/conversations/{name}/ask", {"text": "What is it?", "files": files})
        (image,) = engine.requests[0].messages[-1].images
        assert image.data == png(8, 6)
        question = (await browser.ask("GET", f"/conversations/{name}"))["messages"][0]
        assert question["parts"][1] == {
            "type": "image", "data": "", "kind": "png", "width": 8, "height": 6, "path": "p.png",
        }  # fmt: skip
        path = f"/omni/v1/conversations/{name}/messages/{question['id']}/contents"
        for number, (kind, data) in enumerate(
            [("text/plain; charset=utf-8", b"<script>alert(1)</script>"), ("image/png", png(8, 6))]
        ):
            read = await browser.client.get(f"{path}/{number}")
            assert (read.status_code, read.headers["content-type"], read.content) == (200, kind, data)
            assert read.headers["x-content-type-options"] == "nosniff"
        for wrong, status in (("2", 404), ("x", 400), ("-1", 400)):
            assert (await browser.client.get(f"{path}/{wrong}")).status_code == status
        broken = {"text": "?", "files": [{"path": "p.png", "data": b64encode(png()[:20]).decode()}]}
        await browser.ask("POST", f"/conversations/{name}/ask", broken, status=400)


async def test_a_file_stands_in_the_question(folder: Path) -> None:
    engine = ScriptedEngine()
    async with entered(folder, engine) as browser:
        name = await browser.talk()
        files = [{"path": "notes.txt", "text": "the secret is 42\n"}]
        await browser.turn(f"/conversations/{name}/ask", {"text": "What is it?", "files": files})
        assert "the secret is 42" in engine.requests[0].messages[-1].text
        shown = await browser.ask("GET", f"/conversations/{name}")
        assert shown["messages"][0]["parts"][0] == {
            "type": "file",
            "path": "notes.txt",
            "bytes": 17,
            "lines": 1,
            "text": "",
        }
        binary = {"text": "?", "files": [{"path": "a.bin", "text": "\0"}]}
        response = await browser.client.post(f"/omni/v1/conversations/{name}/ask", json=binary)
        assert response.status_code == 400


# --- turns


async def test_an_answer_goes_on_without_its_page_and_can_be_followed_from_its_beginning(folder: Path) -> None:
    gates = {2: asyncio.Event(), 3: asyncio.Event()}
    engine = ScriptedEngine([Reply(text="one two three four", gates=gates)])
    async with entered(folder, engine) as browser:
        name, answer = await asked_and_left(browser, "two")
        gates[2].set()
        path = f"/omni/v1/conversations/{name}/answers/{answer}"
        async with browser.client.stream("GET", path) as stream:
            assert stream.status_code == 200
            text = ""
            async for line in stream.aiter_lines():
                text += line + "\n"
                if "three" in line:
                    gates[3].set()
        events = events_in(text)
        assert [event["type"] for event in events[:2]] == ["turn_started", "prompt_counted"]
        assert "".join(event["text"] for event in events if event["type"] == "text_delta") == "one two three four"
        assert events[-1]["type"] == "turn_ended"
        assert said(await until(browser, name, "complete")) == "one two three four"
        await browser.ask("GET", path.removeprefix("/omni/v1"), status=404)


async def test_an_answer_is_stopped_by_saying_so_and_can_be_gone_on_with(folder: Path) -> None:
    gate, second = asyncio.Event(), asyncio.Event()
    engine = ScriptedEngine(
        [Reply(text="one two three four", gates={2: gate}), Reply(text=" five six", gates={1: second})]
    )
    async with entered(folder, engine) as browser:
        name, answer = await asked_and_left(browser, "two")
        path = f"/conversations/{name}/answers/{answer}"
        await browser.ask("POST", path + "/stop", status=204)
        stopped = (await browser.ask("GET", f"/conversations/{name}"))["messages"][-1]
        assert (stopped["state"], said(stopped)) == ("cancelled", "one two")
        await browser.ask("POST", path + "/stop", status=404)
        resuming = asyncio.ensure_future(browser.turn(f"/conversations/{name}/resume", {"answer": answer}))
        await until(browser, name, "writing")
        async with browser.client.stream("GET", "/omni/v1" + path) as stream:
            first = await anext(line async for line in stream.aiter_lines() if line)
        started = json.loads(first.removeprefix("data: "))
        assert (started["type"], started["prior_text"], started["prior_reasoning"]) == ("turn_started", "one two", "")
        second.set()
        assert "".join(event.get("text", "") for event in await resuming) == " five six"
        assert said(await until(browser, name, "complete")) == "one two five six"


async def test_a_page_that_leaves_before_its_turn_comes_has_not_asked(folder: Path) -> None:
    gate = asyncio.Event()
    async with entered(folder, ScriptedEngine([Reply(text="one two", gates={1: gate}), "Never."])) as browser:
        name, _ = await asked_and_left(browser, "one")
        path = f"/omni/v1/conversations/{name}/ask"
        async with browser.client.stream("POST", path, json={"text": "And?"}) as stream:
            first = await anext(line async for line in stream.aiter_lines() if line)
        assert json.loads(first.removeprefix("data: "))["type"] == "turn_queued"
        gate.set()
        await until(browser, name, "complete")
        assert [said(one) for one in (await browser.ask("GET", f"/conversations/{name}"))["messages"]] == [
            "Count",
            "one two",
        ]


async def test_answers_that_nobody_follows_end_with_the_server(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def events() -> AsyncGenerator[ChatEvent]:
        try:
            yield TurnStarted(conversation="c", question="q", answer="a", brain="b")
            await asyncio.Event().wait()
        finally:
            ended.set()

    jobs = Jobs(Home(tmp_path), None, SystemClock())
    job = begin_turn(jobs, "c", events())
    async with aclosing(job.events()) as following:
        assert await anext(following) == TurnStarted(conversation="c", question="q", answer="a", brain="b")
        assert jobs.find("turn", answer="a") is job
        await jobs.close()
        assert ended.is_set()
        assert await anext(following, None) is None
    assert jobs.find("turn", answer="a") is None


async def test_an_answer_of_another_window_is_read_on_in_and_stopped(folder: Path) -> None:
    gate = asyncio.Event()
    engine = ScriptedEngine([Reply(text="one two three four", gates={2: gate, 3: asyncio.Event()})])
    async with entered(folder, engine) as browser:
        name = await browser.talk()
        shell = Jobs(browser.served.services.home, browser.served.services.keeper, SystemClock())
        job = begin_turn(shell, name, browser.served.chat.ask(name, "Count"))
        await browser.served.keeper.offered.wait()
        while "answer" not in job.facts:
            await job.changed()
        path = f"/conversations/{name}/answers/{job.facts['answer']}"
        async with browser.client.stream("GET", f"/omni/v1{path}") as stream:
            text = ""
            async for line in stream.aiter_lines():
                text += line + "\n"
                if "two" in line:
                    gate.set()
                if "three" in line:
                    break
        kinds = [event["type"] for event in events_in(text)]
        assert (kinds[0], kinds[-1]) == ("turn_started", "text_delta")
        await browser.ask("POST", f"{path}/stop", status=204)
        stopped = (await browser.ask("GET", f"/conversations/{name}"))["messages"][-1]
        assert (stopped["state"], said(stopped)) == ("cancelled", "one two three")
        assert job.state == "stopped"
        await shell.close()


async def asked_and_left(browser: Browser, word: str) -> tuple[str, str]:
    """The conversation and the answer of a question whose page left when `word` came."""
    name, text = await browser.talk(), ""
    async with browser.client.stream("POST", f"/omni/v1/conversations/{name}/ask", json={"text": "Count"}) as stream:
        async for line in stream.aiter_lines():
            text += line + "\n"
            if word in line:
                break
    return name, next(event["answer"] for event in events_in(text) if event["type"] == "turn_started")


async def until(browser: Browser, name: str, state: str) -> dict[str, Any]:
    """The last message, when it is in this state."""
    async with asyncio.timeout(10):
        while True:
            last = (await browser.ask("GET", f"/conversations/{name}"))["messages"][-1]
            if last["state"] == state:
                return dict(last)
            await asyncio.sleep(0)


async def test_a_failure_in_mid_answer_is_the_last_event(folder: Path) -> None:
    reply = Reply(text="one two three", error=EngineError("The brain died.", hint="Ask again."), fail_after=1)
    async with entered(folder, ScriptedEngine([reply])) as browser:
        name = await browser.talk()
        events = await browser.turn(f"/conversations/{name}/ask", {"text": "?"})
        assert events[-1] == {
            "type": "error",
            "error": {"kind": "engine_error", "message": "The brain died.", "hint": "Ask again."},
        }
        last = (await browser.ask("GET", f"/conversations/{name}"))["messages"][-1]
        assert (last["state"], said(last), last["reason"]) == ("failed", "one", "The brain died.")


async def test_what_cannot_begin_is_an_error_and_no_stream(folder: Path) -> None:
    async with entered(folder) as browser:
        response = await browser.client.post("/omni/v1/conversations/none/ask", json={"text": "?"})
        assert response.status_code == 404
        name = await browser.talk()
        bodies: list[Any] = [{"text": "  "}, {"text": 5}, {}, []]
        for body in bodies:
            response = await browser.client.post(f"/omni/v1/conversations/{name}/ask", json=body)
            assert response.status_code == 400, body
            assert response.json()["error"]["kind"] in ("usage_error", "bad_parameter")


# --- brains


async def test_brains_are_listed_with_what_to_expect_of_them(folder: Path) -> None:
    async with entered(folder) as browser:
        browser.served.keeper.load(browser.served.library.known["@omni/smollm2"])
        listing = await browser.ask("GET", "/brains")
        brains = {one["name"]: one for one in listing["brains"]}
        assert listing["default"] == "@omni/smollm2"
        assert brains["@omni/smollm2"]["loaded"]
        assert brains["@omni/smollm2"]["fit"]["fits"]
        assert {name: one["place"] for name, one in brains.items()} == {
            "@omni/smollm2": "here",
            "@omni/coder": "here",
            "@roe/architect": "here",
            "@me/notes": "here",
            "llama3.2:3b": "found",
            "@omni/qwen": "offered",
        }
        await browser.ask("POST", "/brains/choose", {"name": "@omni/coder"}, 204)
        assert (await browser.ask("POST", "/brains/scan"))["default"] == "@omni/coder"
        assert 'brain = "@omni/coder"' in (folder / "config.toml").read_text()
        await browser.ask("POST", "/brains/unload", {"name": "@omni/smollm2"}, 204)
        assert not browser.served.keeper.running[2:]
        await browser.ask("POST", "/brains/choose", {"name": "nobody"}, 404)
        events = await browser.turn("/brains/verify", {"name": "@omni/coder"})
        assert [event["type"] for event in events] == ["pull_verifying", "verified"]  # of progress the last


async def test_another_brain_says_what_it_must_read_first(folder: Path) -> None:
    async with entered(folder) as browser:
        name = await browser.talk("one two three")
        cost = await browser.ask("GET", f"/conversations/{name}/reread?brain=@omni/coder")
        assert cost["tokens"] == 4 + 3  # the role and the words, and the answer
        assert (cost["seconds"], cost["loaded"], cost["same"]) == (None, False, False)
        assert cost["load"] > 0


async def test_a_pull_goes_on_without_its_page_and_can_be_cancelled(folder: Path) -> None:
    async with entered(folder) as browser:
        await browser.ask("POST", "/pulls", {"name": "@omni/qwen"}, 202)
        pull = await pull_in(browser, "fetching")
        assert (pull["total"], pull["rate"]) == (4_700_000_000, 22e6)
        await browser.ask("POST", "/pulls/cancel", {"name": "@omni/qwen"}, 204)
        await pull_in(browser, "cancelled")
        browser.served.library.step.set()
        await browser.ask("POST", "/pulls", {"name": "@omni/qwen"}, 202)
        await pull_in(browser, "done")
        assert ("library", {"brain": "@omni/qwen"}) in browser.served.keeper.told
        await browser.ask("POST", "/pulls/forget", {"name": "@omni/qwen"}, 204)
        assert await browser.ask("GET", "/pulls") == []
        freed = await browser.ask("POST", "/brains/remove", {"name": "@omni/qwen"})
        assert freed["bytes"] == 4_700_000_000


async def test_a_pull_of_another_window_is_seen_and_cancelled(folder: Path) -> None:
    async with entered(folder) as browser, browser.client.stream("GET", "/omni/v1/changes") as stream:
        served, lines = browser.served, stream.aiter_lines()

        async def hear(state: str) -> dict[str, Any]:
            async with asyncio.timeout(10):
                async for line in lines:
                    if line.startswith("data: ") and (change := json.loads(line[6:]))["topic"] == "pull":
                        assert change["value"]["name"] == "@omni/qwen"
                        if change["value"]["state"] == state:
                            return dict(change["value"])
            raise AssertionError(state)

        await anext(lines)
        shell = Jobs(served.services.home, served.services.keeper, SystemClock())
        job = begin_pull(shell, served.services.pull, "@omni/qwen")
        await served.keeper.offered.wait()
        served.keeper.say("processes")
        assert (await hear("fetching"))["total"] == 4_700_000_000
        await browser.ask("POST", "/pulls/cancel", {"name": "@omni/qwen"}, 204)
        await hear("cancelled")
        assert job.state == "stopped"
        await shell.close()


async def test_a_pull_that_fails_says_why(folder: Path) -> None:
    async with entered(folder) as browser:
        browser.served.library.failure = NetworkBlocked("The other side did not answer.", hint="Try later.")
        browser.served.library.step.set()
        await browser.ask("POST", "/pulls", {"name": "@omni/qwen"}, 202)
        pull = await pull_in(browser, "failed")
        assert pull["error"] == {
            "kind": "network_blocked",
            "message": "The other side did not answer.",
            "hint": "Try later.",
        }
        await browser.ask("POST", "/pulls", {"name": "@no/body"}, 202)
        assert (await pull_in(browser, "failed", "@no/body"))["error"]["kind"] == "not_found"


async def test_a_file_is_not_pulled_from_a_page(folder: Path) -> None:
    async with entered(folder) as browser:
        await browser.ask("POST", "/pulls", {"name": "/etc/passwd"}, 400)
        assert await browser.ask("GET", "/pulls") == []


async def pull_in(browser: Browser, state: str, name: str = "@omni/qwen") -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            for pull in await browser.ask("GET", "/pulls"):
                if pull["name"] == name and pull["state"] == state:
                    return dict(pull)
            await asyncio.sleep(0)


# --- the machine, the doors, settings, changes


async def test_the_doors_are_shut_and_opened(folder: Path) -> None:
    async with entered(folder) as browser:
        assert not (await browser.ask("GET", "/doors"))["air_gap"]
        assert (await browser.ask("POST", "/doors", {"on": True}))["air_gap"]
        assert (await browser.ask("GET", "/doors"))["air_gap"]
        assert not (await browser.ask("POST", "/doors", {"on": False}))["air_gap"]


async def test_the_system_says_what_runs(folder: Path) -> None:
    async with entered(folder) as browser:
        browser.served.keeper.load(browser.served.library.known["@omni/coder"])
        system = await browser.ask("GET", "/system")
        assert system["reading"]["memory_total"] > 0
        worker = next(one for one in system["processes"] if one["process"]["kind"] == "worker")
        assert worker["brains"] == ["@omni/coder", "@roe/architect"]
        for name, status in (("keeper", 400), ("nobody", 404), ("worker-1", 204)):
            await browser.ask("POST", "/system/stop", {"name": name}, status)
        assert len((await browser.ask("GET", "/system"))["processes"]) == 2


async def test_the_system_lists_work_whoever_began_it_and_stops_it(folder: Path) -> None:
    async def export(_: Job[str]) -> AsyncGenerator[str]:
        yield "begun"
        await asyncio.Event().wait()

    async with entered(folder) as browser:
        assert (await browser.ask("GET", "/system"))["work"] == []
        job = browser.served.services.jobs.begin("export", "@omni/coder", export)
        (work,) = (await browser.ask("GET", "/system"))["work"]
        assert (work["id"], work["words"], work["asks"]) == (job.id, "an export of @omni/coder", "")
        await browser.ask("POST", "/system/stop", {"name": job.id}, 204)
        assert job.state == "stopped"
        await browser.ask("POST", "/system/stop", {"name": job.id}, 404)


async def test_settings_are_read_and_changed(folder: Path) -> None:
    async with entered(folder) as browser:
        settings = await browser.ask("GET", "/settings")
        assert {"omni-dark", "omni-light", "omni-contrast"} <= {theme["name"] for theme in settings["themes"]}
        keys = {one["key"]: one for one in settings["settings"]}
        assert keys["chat.max_completion_tokens"]["kind"] == "int"
        assert keys["serve.aliases"]["kind"] == "other"
        settings = await browser.ask("PATCH", "/settings", {"key": "ui.theme", "value": "omni-light"})
        assert next(one["value"] for one in settings["settings"] if one["key"] == "ui.theme") == "omni-light"
        page = await browser.client.get("/", headers={"Accept": "text/html"})
        assert 'data-name="omni-light"' in page.text
        assert "--bar:var(--line);" in page.text
        assert {theme["name"] for theme in settings["themes"] if theme["high_contrast"]} == {"omni-contrast"}
        await browser.ask("PATCH", "/settings", {"key": "ui.theme", "value": "omni-contrast"})
        page = await browser.client.get("/", headers={"Accept": "text/html"})
        assert "--bar:var(--third);" in page.text  # the bar of a scrollbar is seen
        for key, value, status in (
            ("ui.theme", "none", 404),
            ("chat.max_completion_tokens", 3, 400),
            ("chat.nothing", 1, 400),
            ("serve.host", "0.0.0.0", 400),
            ("chat.brain", "a\nb", 404),
            ("chat.brain", 7, 404),
        ):
            await browser.ask("PATCH", "/settings", {"key": key, "value": value}, status)


async def test_settings_of_plug_ins_are_read_and_changed_with_the_words_of_the_command_line(folder: Path) -> None:
    async with entered(folder) as browser:
        parts = await browser.ask("GET", "/plugins")
        kinds = {one["key"]: (one["kind"], one["value"]) for one in parts["settings"]}
        assert kinds == {"plugins.almanac.most": ("int", 5), "plugins.almanac.folders": ("toml", [])}
        assert parts["pages"] == [{"plugin": "almanac", "title": "Dates to come", "address": "/plugins/almanac/dates"}]
        config, sections = browser.served.services.home.config, browser.served.services.plugins.settings_sections()
        for key, value in (("plugins.almanac.most", 9), ("plugins.almanac.folders", '["/srv"]')):
            await browser.ask("PATCH", "/settings", {"key": key, "value": value})
        parts = await browser.ask("GET", "/plugins")
        assert [one["value"] for one in parts["settings"]] == [9, ["/srv"]]
        kept = config.read_text()
        for key, value in (
            ("plugins.almanac.most", "0"),
            ("plugins.almanac.least", "1"),
            ("plugins.almanac.folders", "/srv"),
            ("plugins.nobody.most", "1"),
        ):
            with pytest.raises(UsageError) as refused:
                change(config, key, value, sections)
            problem = (await browser.ask("PATCH", "/settings", {"key": key, "value": value}, 400))["error"]
            assert (problem["message"], problem["hint"]) == (refused.value.message, refused.value.hint)
        assert config.read_text() == kept


async def test_a_plug_in_setting_that_does_not_fit_is_shown_as_it_stands_in_the_file(folder: Path) -> None:
    async with entered(folder) as browser:
        browser.served.services.home.config.write_text('[plugins.almanac]\nmost = "many"\n')
        parts = await browser.ask("GET", "/plugins")
        assert [one["value"] for one in parts["settings"]] == ["many", []]
        await browser.ask("PATCH", "/settings", {"key": "plugins.almanac.most", "value": 7})
        assert "most = 7" in browser.served.services.home.config.read_text()


async def test_pages_hear_of_everything_that_changes(folder: Path) -> None:
    async with entered(folder) as browser, browser.client.stream("GET", "/omni/v1/changes") as stream:
        changes = stream.aiter_lines()

        async def hear(topic: str) -> Any:
            async with asyncio.timeout(10):
                async for line in changes:
                    if line.startswith("data: ") and (change := json.loads(line[6:]))["topic"] == topic:
                        return change["value"]
            raise AssertionError(topic)

        assert (await hear("hello"))["version"]
        assert (await hear("machine"))["doors"]["verified"]
        browser.served.keeper.say("conversation", {"conversation": "1", "what": "writing"})
        assert await hear("conversation") == {"conversation": "1", "what": "writing"}
        made = await browser.ask("POST", "/conversations", {}, 201)  # by another page of this server
        assert await hear("conversation") == {"conversation": made["id"], "what": "created"}
        await browser.ask("POST", "/pulls", {"name": "@omni/qwen"}, 202)
        assert (await hear("pull"))["name"] == "@omni/qwen"


async def test_a_page_that_is_far_behind_reads_everything_anew() -> None:
    page = PageQueue()
    for number in range(BEHIND + 1):
        page.put(Change(topic="conversation", value=number))
    assert await page.get() == Change(topic="everything")
    for number in range(3):
        page.put(Change(topic="machine", value=number))
    page.put(Change(topic="doors"))
    page.put(Change(topic="doors"))
    assert [await page.get(), await page.get()] == [Change(topic="machine", value=2), Change(topic="doors")]


def test_the_pace_is_that_of_the_last_seconds() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    for step in range(11):
        now = step / 10
        pace.token()
    assert round(pace.speed) == 10
    now = 60.0
    assert pace.speed == 0.0
