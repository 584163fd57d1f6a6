"""What was told to pip, read as pip reads it."""

import os
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.airlock import NetSettings, default_index, net_settings
from omni.airlock.net import public
from omni.airlock.pipconf import config_files, options, parse
from omni.core.errors import SetupError
from omni.core.paths import Home


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    return options(environment, [str(tmp_path / "prefix")], root=str(tmp_path))


@pytest.mark.skipif(sys.platform == "darwin", reason="the places of Linux")
def test_files_are_read_in_pips_order(tmp_path: Path, machine: dict[str, str]) -> None:
    named = write(tmp_path / "named.conf", "")
    order = [
        tmp_path / "etc/xdg/pip/pip.conf",
        tmp_path / "etc/pip.conf",
        tmp_path / "home/.pip/pip.conf",
        tmp_path / "home/.config/pip/pip.conf",
        tmp_path / "prefix/pip.conf",
    ]
    assert list(config_files(machine, [str(tmp_path / "prefix")], root=str(tmp_path))) == order
    for number, path in enumerate(order):
        write(path, f"[global]\nindex-url = https://{number}.invalid\n")
        assert read(tmp_path, machine)["index-url"] == f"https://{number}.invalid"
    named.write_text("[global]\nindex-url = https://named.invalid\n")
    assert read(tmp_path, machine | {"PIP_CONFIG_FILE": str(named)})["index-url"] == "https://named.invalid"
    variable = machine | {"PIP_CONFIG_FILE": str(named), "PIP_INDEX_URL": "https://variable.invalid"}
    assert read(tmp_path, variable)["index-url"] == "https://variable.invalid"
    assert read(tmp_path, machine | {"PIP_CONFIG_FILE": os.devnull}) == {}


def test_naming_a_file_leaves_the_users_out(tmp_path: Path, machine: dict[str, str]) -> None:
    write(tmp_path / "home/.pip/pip.conf", "[global]\nproxy = http://mine.invalid\n")
    named = write(tmp_path / "named.conf", "[global]\ntimeout = 3\n")
    assert read(tmp_path, machine | {"PIP_CONFIG_FILE": str(named)}) == {"timeout": "3"}
    assert "proxy" in read(tmp_path, machine | {"PIP_CONFIG_FILE": str(tmp_path / "absent.conf")})


def test_other_folders_of_the_desktop_standard_are_honoured(tmp_path: Path, machine: dict[str, str]) -> None:
    machine |= {"XDG_CONFIG_HOME": str(tmp_path / "mine"), "XDG_CONFIG_DIRS": f"{tmp_path}/a:{tmp_path}/b"}
    paths = list(config_files(machine, [], root=str(tmp_path)))
    assert paths[:2] == [tmp_path / "a/pip/pip.conf", tmp_path / "b/pip/pip.conf"]
    assert paths[-1] == tmp_path / "mine/pip/pip.conf"


def test_a_commands_section_beats_the_global_one_wherever_it_stands(tmp_path: Path, machine: dict[str, str]) -> None:
    write(
        tmp_path / "etc/pip.conf",
        "[install]\nindex-url = https://install.invalid\n[freeze]\nindex-url = https://no.invalid",
    )
    write(
        tmp_path / "home/.pip/pip.conf",
        "[global]\nindex_url = https://global.invalid\n[download]\nindex-url=https://d.invalid",
    )
    assert read(tmp_path, machine)["index-url"] == "https://install.invalid"


def test_lists_may_stand_on_several_lines(tmp_path: Path, machine: dict[str, str]) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    write(
        tmp_path / "etc/pip.conf",
        f"[global]\nextra-index-url =\n    https://one.invalid/simple\n    https://two.invalid/simple\n"
        f"find-links = {wheels}\n  https://links.invalid\ntrusted-host = a.invalid b.invalid:8080\ntimeout = 60\nno-index = yes\n",
    )
    net = net_settings(machine, prefixes=[], root=str(tmp_path))
    assert net.extra_index_urls == ("https://one.invalid/simple", "https://two.invalid/simple")
    assert net.find_links == (wheels.as_uri(), "https://links.invalid")
    assert net.trusted_hosts == ("a.invalid", "b.invalid:8080")
    assert (net.timeout, net.no_index, net.index_url) == (60.0, True, "")


def test_empty_values_count_as_not_set(tmp_path: Path, machine: dict[str, str]) -> None:
    write(tmp_path / "etc/pip.conf", "[global]\nindex-url = https://one.invalid\n[install]\nindex-url =\n")
    assert read(tmp_path, machine | {"PIP_INDEX_URL": ""})["index-url"] == "https://one.invalid"


def test_the_environments_proxies_and_certificates_are_taken(tmp_path: Path, machine: dict[str, str]) -> None:
    machine |= {
        "HTTP_PROXY": "http://upper",
        "http_proxy": "http://lower",
        "ALL_PROXY": "http://all",
        "NO_PROXY": "a,b",
    }
    net = net_settings(machine | {"SSL_CERT_FILE": "/x.pem"}, prefixes=[], root=str(tmp_path))
    assert (net.proxy, net.http_proxy, net.https_proxy, net.no_proxy) == ("", "http://lower", "http://all", "a,b")
    assert net.certificate == "/x.pem"
    chosen = net_settings(machine | {"SSL_CERT_FILE": "/x.pem", "PIP_CERT": "/p.pem"}, prefixes=[], root=str(tmp_path))
    assert chosen.certificate == "/p.pem"


@pytest.mark.parametrize(
    ("name", "value"), [("PIP_TIMEOUT", "soon"), ("PIP_DEFAULT_TIMEOUT", "-1"), ("PIP_NO_INDEX", "perhaps")]
)
def test_values_that_are_none_are_said(tmp_path: Path, machine: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SetupError, match=value):
        net_settings(machine | {name: value}, prefixes=[], root=str(tmp_path))


def test_a_broken_file_is_named_without_its_secrets(tmp_path: Path, machine: dict[str, str]) -> None:
    path = write(tmp_path / "etc/pip.conf", "[global]\nsecret\n")
    with pytest.raises(SetupError) as caught:
        read(tmp_path, machine)
    assert f"{path}, line 2" in caught.value.message
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_passwords_do_not_show() -> None:
    net = NetSettings(index_url="https://me:secret@host.invalid/simple?token=secret", proxy="http://me:secret@proxy")
    assert "secret" not in repr(net)
    assert "secret" not in f"{net}"
    assert public("https://me:se@cret@host/a?b#c") == "https://host/a"
    assert public("me:secret@host/a") == "host/a"


def test_settings_travel_as_json() -> None:
    import json

    net = NetSettings(index_url="https://x", extra_index_urls=("a", "b"), timeout=3, no_index=True)
    assert NetSettings.of(json.loads(json.dumps(net.plain()))) == net
    for wrong in (
        {"timeout": 0},
        {"timeout": "1"},
        {"proxy": 1},
        {"extra_index_urls": "ab"},
        {"extra_index_urls": [1]},
        {"no_index": 1},
    ):
        with pytest.raises(ValueError):
            NetSettings.of(wrong)


@given(st.text(max_size=300))
def test_any_text_is_a_configuration_or_an_error(text: str) -> None:
    try:
        parse(text, "pip.conf")
    except SetupError:
        pass


@given(
    st.lists(
        st.sampled_from(
            ["[global]", "[install]", "\n", " ", "=", ":", "index-url", "x", "#", ";", "%(a)s", "[", "]", "\t"]
        )
    )
)
def test_any_pieces_of_a_configuration_are_one_or_an_error(pieces: list[str]) -> None:
    try:
        parse("".join(pieces), "pip.conf")
    except SetupError:
        pass


# --- pip's default ---

MODULE = 'class PackageIndex: ...\n\nPyPI = PackageIndex(\n    "https://default.invalid/", file_storage_domain="f.invalid"\n)\nTestPyPI = PackageIndex("https://test.invalid/")\n'


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A Python without pip, as Debian ships it."""
    monkeypatch.setattr(sys, "path", [str(tmp_path / "lib")])
    monkeypatch.setattr("sysconfig.get_path", lambda kind: str(tmp_path / "stdlib"))
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: str(tmp_path / "python-wheels"))
    real = Path.glob
    monkeypatch.setattr(
        Path, "glob", lambda self, pattern: real(self, pattern) if tmp_path in (self, *self.parents) else iter(())
    )
    return {"HOME": str(tmp_path / "user"), "PATH": str(tmp_path / "bin"), "OMNI_HOME": str(tmp_path / "omni")}


def wheel(path: Path, text: str = MODULE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as file:
        file.writestr("pip/_internal/models/index.py", text)


def test_without_any_pip_the_error_says_what_to_set(bare: dict[str, str]) -> None:
    with pytest.raises(SetupError) as caught:
        default_index(bare)
    assert "PIP_INDEX_URL" in caught.value.hint
    assert "--from" in caught.value.hint


@pytest.mark.parametrize(
    "place", ["lib", "stdlib", "user/.local/lib/python3.12/site-packages", "lib/python3.11/dist-packages"]
)
def test_an_installed_pip_is_read_and_not_imported(bare: dict[str, str], tmp_path: Path, place: str) -> None:
    if place.startswith("lib/"):
        write(tmp_path / "bin/python3", "")
    write(tmp_path / place / "pip/_internal/models/index.py", MODULE)
    write(tmp_path / place / "pip/__init__.py", "raise SystemError('imported')")
    assert default_index(bare) == "https://default.invalid/simple"


@pytest.mark.parametrize(
    "place",
    [
        "stdlib/ensurepip/_bundled/pip-23.2-py3-none-any.whl",
        "python-wheels/pip-24-py3-none-any.whl",
        "omni/venv/pip.whl",
    ],
)
def test_a_wheel_of_pip_is_read_too(bare: dict[str, str], tmp_path: Path, place: str) -> None:
    wheel(tmp_path / place)
    assert default_index(bare, home=Home(tmp_path / "omni")) == "https://default.invalid/simple"


def test_what_is_no_pip_is_passed_over(bare: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "lib/pip/_internal/models/index.py", "PyPI = PackageIndex(somewhere)")
    write(tmp_path / "stdlib/ensurepip/_bundled/pip-9.whl", "no zip")
    wheel(tmp_path / "python-wheels/pip-1.whl", "")
    wheel(tmp_path / "omni/venv/pip.whl")
    assert default_index(bare) == "https://default.invalid/simple"


def test_the_default_of_this_python_is_an_https_address() -> None:
    try:
        assert default_index().startswith("https://")
    except SetupError:
        pytest.skip("there is no pip on this machine")
