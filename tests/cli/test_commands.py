"""The commands that ask no brain, on a real library."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from omni.airlock.audit import Audit
from omni.cartridges import Base, Brain, read_header
from omni.cli.ls import group, no_use, row, why
from omni.cli.ps import confinement, several, show, what
from omni.core.paths import Home
from omni.hardware import BaseFacts, Fit, GraphicsMemory, Vram, memory_needed
from omni.keeper import ProcessInfo, anything_runs
from tests.cartridges.conftest import gguf_bytes, tensors_of
from tests.cli.conftest import Call
from tests.embedding_tools import Bert
from tests.image_tools import write_projector
from tests.runtimes.tool_doubles import ToolDoubles

pytestmark = pytest.mark.real  # every test here starts processes


def test_an_empty_home_lists_what_can_be_pulled(call: Call) -> None:
    listing = call("ls")
    assert listing.code == 0
    assert listing.err == "No brain is here yet. `omni pull @omni/smollm2` fetches the starter (98 MB).\n"
    lines = listing.out.splitlines()
    assert lines[0].split() == ["brain", "size", "context", "speed", "licence", "good", "for"]
    assert "Can be pulled:" in lines
    assert "On this machine:" not in lines
    starter = next(line for line in lines if line.startswith("@omni/smollm2 "))
    assert starter.split()[1:4] == ["98", "MB", "8k"]
    assert "tok/s" in starter
    assert call("ls", "--here").out == ""
    assert call("ls", "--here", "--json").json == []


def test_what_was_added_is_listed_first_and_asked_by_default(call: Call, tiny: Path) -> None:
    added = call("pull", str(tiny))
    assert (added.code, added.out) == (0, "")
    assert added.err == "@me/tiny is here (never checked).\n"
    lines = call("ls").out.splitlines()
    assert lines[2] == "On this machine:"
    assert lines[3].startswith("@me/tiny ")
    assert lines[3].endswith("<- `omni chat`")
    (brain,) = [one for one in call("ls", "--json").json if one["default"]]
    assert (brain["name"], brain["state"], brain["path"]) == ("@me/tiny", "installed", str(tiny))
    assert brain["fits"] is True


def test_show_tells_all_and_verifies(call: Call, tiny: Path) -> None:
    call("pull", str(tiny))
    shown = call("show", "tiny")
    assert shown.code == 0
    facts = dict(line.split(maxsplit=1) for line in shown.out.splitlines() if line[0] != " ")
    assert facts["brain"].startswith("@me/tiny")
    assert facts["file"] == str(tiny)
    assert facts["context"] == "2,048 tokens at most"
    assert call("show", "tiny", "--verify").code == 0
    tiny.write_bytes(gguf_bytes(salt="another"))
    os.utime(tiny, (1, 1))
    assert call("show", "tiny", "--json").json["name"] == "@me/tiny"


def test_what_a_brain_sees_with_is_told(call: Call, tiny: Path) -> None:
    eyes = write_projector(tiny.with_name("mmproj-tiny.gguf"), width=128)
    call("pull", str(tiny))
    assert "made for another model" in call("show", "tiny").out
    assert "sees images" not in call("ls", "--here").out
    write_projector(eyes, width=256)
    call("pull", str(tiny))
    assert f"images, with {eyes}" in call("show", "tiny").out
    assert "sees images" in call("ls", "--here").out
    assert all(one["vision"] for one in call("ls", "--here", "--json").json)


def test_layers_that_draft_are_told_by_the_header(call: Call, tiny: Path) -> None:
    tiny.write_bytes(gguf_bytes(qwen35__nextn_predict_layers=1, general__architecture="qwen35", qwen35__block_count=2))
    call("pull", str(tiny))
    shown = call("show", "tiny").out
    assert "1 layer of its own for tokens ahead (MTP)" in shown
    assert call("show", "tiny", "--json").json["features"] == ["mtp"]
    offered = call("show", "@omni/qwen3.5-9b")
    assert "Calls tools, thinks, sees images. Not tried by us." in offered.out
    assert call("show", "@omni/coder", "--json").json["tried"] is True
    assert "Not tried" not in call("show", "@omni/coder").out


def test_what_is_for_searching_stands_apart_and_is_not_chatted_with(call: Call) -> None:
    lines = call("ls").out.splitlines()
    apart = lines.index("Can be pulled, to search with:")
    assert all(line.startswith("@") for line in lines[apart + 1 :])
    assert {line.split()[0] for line in lines[apart + 1 :]} >= {"@omni/nomic-embed", "@omni/qwen3-reranker-0.6b"}
    refused = call("chat", "--brain", "@omni/nomic-embed", "Hi")
    assert refused.code == 3
    assert "@omni/nomic-embed cannot be asked: it is not here yet, and for vectors of texts only." in refused.err


def test_what_makes_vectors_is_told(call: Call, tiny: Path) -> None:
    bert = Bert().write(tiny.with_name("whatever.gguf"))
    assert call("pull", str(bert)).err == "@me/whatever is here (never checked).\n"
    line = next(line for line in call("ls", "--here").out.splitlines() if line.startswith("@me/whatever"))
    assert line.split(maxsplit=4)[1:] == ["47", "kB", "64", "vectors of texts (Tiny Bert)"]
    (facts,) = call("ls", "--here", "--json").json
    assert (facts["embeds"], facts["state"], facts["default"]) == (True, "not chat", False)
    assert "vectors of 32 numbers, at /v1/embeddings" in call("show", "whatever").out
    refused = call("chat", "hi", "--brain", "whatever")
    assert (refused.code, refused.out) == (3, "")
    assert "cannot be asked: an embedding model" in refused.err
    assert "/v1/embeddings" in refused.err
    assert "`omni pull @omni/nomic-embed`" in call("show", "all-minilm").err


def test_a_file_that_changed_is_a_bad_file(call: Call, tiny: Path) -> None:
    call("pull", str(tiny))
    assert call("show", "tiny", "--verify").code == 0
    data = bytearray(tiny.read_bytes())
    before = tiny.stat()
    data[-40] ^= 1
    tiny.write_bytes(data)
    os.utime(tiny, ns=(before.st_atime_ns, before.st_mtime_ns))
    verified = call("show", "tiny", "--verify")
    assert verified.code == 8
    assert "is not what it was" in verified.err


def test_a_foreign_file_is_never_deleted(call: Call, tiny: Path) -> None:
    call("pull", str(tiny))
    assert call("rm", "tiny") == (0, "tiny is taken off the list.\n", "")
    assert tiny.exists()
    assert call("rm", "tiny").code == 3
    assert call("rm", "--unused") == (0, "Nothing was unused.\n", "")


@pytest.mark.parametrize(
    "words", [["show"], ["rm"], ["stop"], ["pull"], ["chat", "hi", "--brain"], ["export", "x", "--only-brains"]]
)
def test_an_unknown_brain_is_named_with_what_comes_near(call: Call, words: list[str]) -> None:
    refused = call(*words, "smolm2")
    assert (refused.code, refused.out) == (3, "")
    assert "Did you mean '@omni/smollm2'?" in refused.err
    ollama = call(*words, "llama3.2:3b")
    assert ollama.code == 3
    assert "Nearest in the catalogue: @omni/smollm3-3b" in ollama.err
    assert "hf.co/OWNER/REPOSITORY:QUANT" in ollama.err
    assert len(ollama.err.splitlines()) == 2


BAD = {
    "empty": b"",
    "text": b"hello\n",
    "cut head": gguf_bytes()[:60],
    "cut tensors": gguf_bytes()[:-200],
    "hostile counts": gguf_bytes()[:8] + b"\xff" * 64,
    "hostile length": gguf_bytes()[:24] + b"\xff\xff\xff\xff\xff\xff\xff\x7f" + gguf_bytes()[32:],
    "adapter": gguf_bytes(general__type="adapter"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_never_becomes_a_brain(call: Call, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(BAD[kind])
    for words in (["pull", "./../bad.gguf"], ["chat", "hi", "--brain", str(path)], ["run", str(path), "hi"]):
        refused = call(*words) if words[0] != "pull" else call("pull", str(path))
        code = 2 if kind == "adapter" else 8  # what that lacks is a base, which a person may name
        assert (refused.code, refused.out) == (code, ""), refused
        assert refused.err.startswith("omni: ")
        assert len(refused.err.splitlines()) <= 2
    assert call("ls", "--here", "--json").json == []


def test_names_inside_files_cannot_steer_the_terminal(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(gguf_bytes(general__name="a\x1b]0;owned\x07\nb", general__license="\x1b[2J"))
    assert call("pull", str(path)).code == 0
    for words in (["ls"], ["show", "odd"]):
        out = call(*words).out
        assert "\x1b" not in out
        assert "\x07" not in out


def test_looking_starts_no_process(call: Call, home: Home) -> None:
    assert call("ps") == (0, "No process of Omni is running.\n", "")
    assert call("ps", "--json").json == []
    assert call("stop") == (0, "No brain is loaded.\n", "")
    assert call("stop", "--all") == (0, "No process of Omni is running.\n", "")
    assert not anything_runs(home)


def test_the_air_gap_refuses_a_pull_and_says_how_to_undo_it(call: Call, home: Home) -> None:
    assert call("airgap", "on") == (0, "The air gap is on: no door can open (verified).\n", "")
    refused = call("pull", "@omni/smollm2")
    assert (refused.code, refused.out) == (7, "")
    assert "`omni airgap off`" in refused.err
    told = call("pull", "@omni/smollm2", "--json")
    assert told.code == 7
    assert [(one["type"], one["kind"], one["exit_code"]) for one in told.events] == [("error", "NetworkBlocked", 7)]
    assert "`omni airgap off`" in told.err
    assert call("export", str(home.root / "out")).code == 7
    assert call("airgap", "--json").json["air_gap"] is True
    assert call("airgap", "off", "--yes").out.startswith("Every door is shut; ")
    assert not home.air_gap.exists()


def test_settings_are_shown_changed_and_checked(call: Call, home: Home) -> None:
    assert call("config", "check").out.endswith("all is default.\n")
    assert call("config", "set", "engine.context", "4096") == (0, "engine.context = 4096\n", "")
    assert call("config", "get", "engine.context").out == "4096\n"
    assert "engine.context              4096  (changed)" in call("config", "show").out
    assert call("config", "show", "--json").json["engine"]["context"] == 4096
    assert call("config", "path").out == f"{home.config}\n"
    assert call("config", "set", "engine.context", "none").code == 2
    home.config.write_text("[chat]\nbrian = 1\n")
    checked = call("config", "check")
    assert checked.code == 2
    assert "line 2, column 1: there is no key 'chat.brian'" in checked.err
    assert "Did you mean 'brain'?" in checked.err
    assert call("ls").code == 2


def test_the_record_of_connections_is_shown(call: Call, home: Home) -> None:
    assert call("audit").out == "Nothing has gone through the airlock yet.\n"
    home.audit.mkdir()
    line = {"time": "2026-01-02T03:04:05.678Z", "client": "cli-1", "purpose": "pull", "host": "a.example:443"}
    lines = [json.dumps(line | {"bytes": 98_000_000, "verdict": "whole"}), "torn {", json.dumps(line | {"bytes": 12})]
    (home.audit / "airlock.jsonl").write_text("\n".join(lines) + "\n")
    shown = call("audit").out.splitlines()
    assert shown[0].split() == ["time", "client", "purpose", "host", "bytes", "verdict"]
    assert shown[1].endswith("cli-1   pull     a.example:443  98 MB  whole")
    assert len(shown) == 3
    assert call("audit", "--json", "--last", "1").out == lines[2] + "\n"


def test_a_record_that_was_changed_is_found_out(call: Call, home: Home) -> None:
    assert call("audit", "--verify").out == "0 lines in 0 files, each with a hash over itself and the line before.\n"
    audit = Audit(home)
    audit.line("cli-1", "pull", "a.example:443").close(5, "whole")
    audit.note("cli-1", "pull", "b.example:443", "refused: 404")
    (home.audit / "airlock.jsonl").write_text('{"host": "older"}\n')
    whole = call("audit", "--verify")
    assert whole.out.splitlines()[0].startswith("3 lines in 1 file, each")
    assert whole.out.splitlines()[1].startswith("1 lines of earlier builds")
    assert whole.code == 0
    path = home.audit / "airlock-000001.jsonl"
    path.write_text(path.read_text().replace("b.example", "c.example"))
    changed = call("audit", "--verify")
    assert "airlock-000001.jsonl, line 3: it was changed" in changed.out
    assert "is not whole" in changed.err
    assert changed.code == 8
    assert len(json.loads(call("audit", "--verify", "--json").out)["faults"]) == 1


def test_an_export_holds_the_brain_and_can_be_pulled(call: Call, tiny: Path, tmp_path: Path) -> None:
    call("pull", str(tiny))
    folder = tmp_path / "export"
    assert call("export", str(folder), "tiny", "--only-brains").out.splitlines() == [
        "@me/tiny  1 kB" if tiny.stat().st_size < 1500 else f"@me/tiny  {tiny.stat().st_size / 1000:.0f} kB",
        f"On the other machine: omni pull {folder}",
    ]
    call("rm", "tiny")
    assert call("pull", str(folder)).code == 0
    here = [one for one in call("ls", "--here", "--json").json if not one["shares"]]
    assert [one["name"] for one in here] == ["@me/tiny"]


def test_an_adapter_is_pulled_onto_a_brain_that_is_here(call: Call, tmp_path: Path) -> None:
    (tmp_path / "base.gguf").write_bytes(gguf_bytes(ffn=48))
    shape: list[tuple[str, tuple[int, ...], int]] = [
        ("blk.0.ffn_up.weight.lora_a", (256, 4), 0),
        ("blk.0.ffn_up.weight.lora_b", (4, 48), 0),
    ]
    (tmp_path / "pirate.gguf").write_bytes(
        gguf_bytes(tensors=shape, general__type="adapter", general__base_model__0__name="Giant 7B")
    )
    assert call("pull", str(tmp_path / "base.gguf")).code == 0
    refused = call("pull", str(tmp_path / "pirate.gguf"))
    assert (refused.code, "is an adapter for Giant 7B, which is not here" in refused.err) == (3, True)
    assert call("pull", str(tmp_path / "pirate.gguf"), "--base", "base").err == "@me/pirate is here (never checked).\n"
    shown = call("show", "pirate").out
    assert f"{tmp_path / 'pirate.gguf'}, scale 1" in shown
    assert "the file of @me/base" in shown


def test_doctor_prints_every_finding_with_what_mends_it(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    report = call("doctor")
    assert report.code == 1
    lines = report.out.splitlines()
    bad = [number for number, line in enumerate(lines) if line.startswith("BAD  ")]
    assert all("mend it: " in lines[number + 1] for number in bad)
    names = {line.split()[1] for line in lines if line.startswith(("ok ", "BAD "))}
    assert {
        "environment",
        "settings",
        "confinement",
        "locale",
        "terminal",
        "memory",
        "keeper",
        "doors",
        "brains",
    } <= names
    assert report.out.endswith(f"\n{len(bad)} to mend.\n")
    assert {one["name"] for one in call("doctor", "--json").json} == names


def test_a_build_that_was_interrupted_is_told_and_goes_when_that_is_asked_for(call: Call, home: Home) -> None:
    tree = home.engine_builds / "tree-cpu-1.0"
    tree.mkdir(parents=True)
    (tree / "half.o").write_bytes(b"x" * 5000)
    [told] = [one for one in call("doctor", "--json").json if one["name"] == "engines"]
    assert told == {
        "name": "engines",
        "ok": False,
        "detail": "a build of an engine was interrupted and takes 5 kB; `omni engine build` goes on with it",
        "command": "omni rm --unused",
    }
    assert call("rm", "--unused").out == "5 kB were not used and are free again.\n"
    assert "engines" not in {one["name"] for one in call("doctor", "--json").json}


def test_completion_is_printed_for_each_shell(call: Call) -> None:
    assert "complete -o nosort -F _omni_completion omni" in call("completion", "bash").out
    assert "#compdef omni" in call("completion", "zsh").out
    assert "complete --no-files --command omni" in call("completion", "fish").out
    assert call("completion", "tcsh").code == 2


def test_uninstall_says_what_it_frees_and_leaves_nothing(call: Call, home: Home, tiny: Path) -> None:
    call("pull", str(tiny))
    call("ls")
    call("airgap")
    assert anything_runs(home)
    planned = call("uninstall", "--dry-run")
    assert planned.out.splitlines()[0].split() == ["what", "size", "where"]
    assert home.library.exists()
    assert call("uninstall").code == 2
    done = call("uninstall", "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].startswith("Removed; ")
    assert not home.root.exists()
    assert not home.sockets.exists()
    assert not anything_runs(home)
    assert tiny.exists()
    assert call("uninstall").out == f"There is nothing of Omni in {home.root}.\n"


def test_uninstall_leaves_what_is_not_omnis(call: Call, home: Home) -> None:
    call("ls")
    (home.root / "diary.txt").write_text("mine")
    assert call("uninstall", "--yes").out.endswith("stays: it holds files that are not Omni's.\n")
    assert [path.name for path in home.root.iterdir()] == ["diary.txt"]


# -- the cells of the listings


def process(kind: str, **values: object) -> ProcessInfo:
    usual: dict[str, Any] = {"name": f"{kind}-1", "kind": kind, "pid": 1, "confined": "none", "since": 0.0}
    return ProcessInfo(**(usual | values))


def test_what_confines_a_process_is_said_in_words() -> None:
    assert confinement(process("worker", confined="seccomp")) == "none, by seccomp"
    assert confinement(process("airlock")) == "the door"
    assert confinement(process("installer")) == "the package index"
    assert confinement(process("keeper")) == "unused, not confined"
    assert confinement(process("starter")) == "unused, not confined"
    assert confinement(process("worker")) == "NOT CONFINED"
    assert confinement(process("client")) == "NOT CONFINED"


def test_a_worker_on_a_device_says_where_its_layers_lie_and_which_device_files_it_holds() -> None:
    here = {"base": "sha256-0", "detail": "sha256-0, 1 of 4 places", "pid": os.getpid()}
    placed = process("worker", engine="vulkan", placed="3 layers on Vulkan0", **here)
    assert what(placed, ["@me/a"]) == "@me/a, 1 of 4 places, by vulkan, 3 layers on Vulkan0 (no device file is open)"
    assert what(process("worker", engine="vulkan", **here), ["@me/a"]) == "@me/a, 1 of 4 places, by vulkan"


def test_memory_of_devices_is_listed_below_the_processes_and_only_where_one_is_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = process(
        "worker",
        base="sha256-0",
        detail="x, 1 of 4 places",
        pid=os.getpid(),
        engine="cuda",
        placed="29 layers on CUDA0",
    )
    card = Vram(name="NVIDIA T400", used=3_200_000_000, total=4_294_967_296)
    graphics = GraphicsMemory(cards=(card,), taken={os.getpid(): 2_900_000_000})
    show([worker], {"sha256-0": ["@me/a"]}, (), graphics, as_json=False)
    printed = capsys.readouterr().out
    assert "29 layers on CUDA0 (no device file is open), 2.9 GB of VRAM" in printed
    assert printed.splitlines()[-1].split() == ["NVIDIA", "T400", "3.2", "of", "4.3", "GB"]
    show([worker], {}, (), graphics, as_json=True)
    [listed] = json.loads(capsys.readouterr().out)
    assert listed["vram"] == 2_900_000_000
    show([worker], {}, as_json=False)
    assert "VRAM" not in capsys.readouterr().out


def test_a_worker_is_called_by_its_brains() -> None:
    worker = process("worker", base="sha256-0", detail="sha256-0, 1 of 4 places")
    assert what(worker, ["@omni/coder", "@roe/a", "@roe/b"]) == "@omni/coder and 2 on it, 1 of 4 places"
    assert what(worker, []) == "sha256-0, 1 of 4 places"
    assert what(process("client", pid=os.getpid()), []) == "this command"
    assert several(["a"]) == "a"


def brain(tmp_path: Path, **values: object) -> Brain:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf_bytes())
    base = Base(id="x", path=str(path), parts=(str(path),), size=1, header=read_header(path), origin="ollama")
    usual: dict[str, Any] = {"name": "a", "state": "ready", "base": base}
    return Brain(**(usual | values))


def test_brains_stand_where_they_lie(tmp_path: Path) -> None:
    assert group(brain(tmp_path, origin="blob")) == "On this machine:"
    assert group(brain(tmp_path, origin="ollama")) == "Found in Ollama:"
    assert group(brain(tmp_path, origin="web", state="available")) == "Can be pulled:"
    fit = Fit(fits=True, context=2048, memory=1, speed=28.4)
    assert row(brain(tmp_path, good_for="code"), fit, default=False)[3:] == ("~28 tok/s", "", "code")
    assert row(brain(tmp_path, shares="@omni/coder", size=5), None, default=False)[1] == ""
    large = Fit(fits=False, context=1, memory=1)
    assert row(brain(tmp_path), large, default=False)[3] == "too large"
    gone = brain(
        tmp_path, state="gone", reason="its file went away.", good_for="code", origin="ollama", command="omni rm a"
    )
    assert no_use(gone)
    assert why(gone) == ("gone: its file went away (Ollama).", "omni rm a")
    assert not no_use(brain(tmp_path))
    assert not no_use(brain(tmp_path, state="available"))


def test_a_brain_that_is_too_large_as_it_is_names_what_makes_it_smaller(call: Call, tmp_path: Path) -> None:
    tensors = [(name, shape, 1 if kind == 12 else kind) for name, shape, kind in tensors_of("llama")]
    (tmp_path / "whole.gguf").write_bytes(gguf_bytes({"general.file_type": 1}, tensors))
    assert "quantise" not in call("pull", str(tmp_path / "whole.gguf")).err
    assert call("config", "set", "engine.memory", "100").code == 0
    (tmp_path / "other.gguf").write_bytes(gguf_bytes({"general.file_type": 1}, tensors, salt="other"))
    said = call("pull", str(tmp_path / "other.gguf")).err
    assert "in F16 it does not fit here; `omni quantise @me/other` makes it smaller and says what that costs" in said


def test_a_quantised_brain_that_is_too_large_names_how_one_that_fits_is_had(call: Call, tmp_path: Path) -> None:
    assert call("config", "set", "engine.memory", "100").code == 0
    (tmp_path / "large.gguf").write_bytes(gguf_bytes())
    said = call("pull", str(tmp_path / "large.gguf")).err
    assert "in Q4_K_M it does not fit here; `omni ls` shows which ones do" in said


@pytest.mark.parametrize("agreed", [False, True])
def test_on_consent_a_brain_that_is_too_large_is_made_smaller_at_once(
    call: Call, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agreed: bool
) -> None:
    asked: list[str] = []

    async def agrees(question: str) -> bool:
        asked.append(question)
        return agreed

    monkeypatch.setattr("omni.cli.asking.agrees", agrees)
    ToolDoubles(home, gguf_bytes())
    whole = [(name, shape, 1 if kind == 12 else kind) for name, shape, kind in tensors_of("llama", ffn=40_000)]
    (tmp_path / "large-F16.gguf").write_bytes(gguf_bytes({"general.file_type": 1}, whole))
    room = str(memory_needed(BaseFacts(weights_bytes=10_000_000), 0) // 10**6)  # half of what it has
    assert call("config", "set", "engine.memory", room).code == 0
    pulled = call("pull", str(tmp_path / "large-F16.gguf"))
    assert "in F16 it does not fit here; `omni quantise @me/large-f16`" in pulled.err
    assert asked == ["Make it smaller now?"]
    names = {one["name"] for one in call("ls", "--here", "--json").json if not one["shares"]}
    assert names == {"@me/large-f16"} | ({"@me/large-q8_0"} if agreed else set())


def test_without_an_engine_that_can_the_way_to_one_is_named(call: Call, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(gguf_bytes())
    call("pull", str(tmp_path / "tiny.gguf"))
    failed = call("quantise", "tiny", "--json")
    assert failed.code == 3
    assert "omni engine build" in failed.err
    assert "No engine here has the tools" in json.loads(failed.out.splitlines()[-1])["message"]
