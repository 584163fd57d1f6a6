"""The starter: a small `/bin/sh` beside each front end, started before the wall goes up around it.

It has the front end's terminal and environment, reads orders from a pipe, and obeys a fixed table of them: `keeper`,
`editor PATH`, `open URL`, `wall`, `goodbye`. It looks itself at what it is given: a path is never an option or a command of the
editor (`+!sh`), and only web addresses are opened. When the pipe ends without a goodbye the front end was killed, and it gives the
terminal back as it was. It is not confined, and opens no socket. Imports `os` only until it is used.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from omni.core.errors import SetupError, UsageError
from omni.core.paths import Home, python_command

_LEAVE = r"\033[?2026l\033[?1049l\033[?25h\033[?1000;1002;1003;1004;1006;1015;2004l\033[<u\033[0m\033[?7h\r"

# $1 the terminal as it was, $2 what leaves the full screen, $3 and $4 the Python and the code that try the wall, then the
# keeper's command; fd 0 orders, 3 terminal, 4 answers.
# A job-control shell takes its terminal back by itself: it is set here only while Ctrl+C still has no effect in it.
_SCRIPT = r"""
set -f; trap '' INT QUIT TSTP TTOU HUP; saved=$1; leave=$2; python=$3; probe=$4; shift 4
while IFS= read -r line; do
  rest=${line#* }
  case $line in
  keeper) (trap - INT QUIT TSTP TTOU HUP; exec "$@" </dev/null >/dev/null 2>&1 3>&- 4>&-) & ;;
  'editor '*)
    editor=${VISUAL:-${EDITOR:-}}
    [ -n "$editor" ] || for one in nano vim vi; do
      if command -v "$one" >/dev/null 2>&1; then editor=$one; break; fi
    done
    case $rest in /*) ;; *) rest=./$rest ;; esac
    (trap - INT QUIT TSTP TTOU HUP; exec ${editor:-vi} "$rest" <&3 >&3 2>&3 4>&-); echo "editor $?" >&4 ;;
  'open http://'*|'open https://'*)
    code=127
    for one in ${BROWSER:-} xdg-open open wslview; do
      if command -v "$one" >/dev/null 2>&1; then
        (trap - INT QUIT TSTP TTOU HUP; exec "$one" "$rest" </dev/null >/dev/null 2>&1 3>&- 4>&-) & code=0; break
      fi
    done
    echo "open $code" >&4 ;;
  wall) echo "wall $("$python" -I -S -c "$probe" </dev/null 2>/dev/null 3>&- 4>&-)" >&4 ;;
  goodbye) exit 0 ;;
  esac
done
[ -n "$saved" ] || exit 0
printf "$leave" >&3
case $(stty -a <&3 2>/dev/null) in *-isig*) stty "$saved" <&3 2>/dev/null || stty sane <&3 ;; esac
"""


class Starter:
    """The front end's end of the pipes."""

    def __init__(self, pid: int, orders: int, answers: int, python: str) -> None:
        self.pid, self.python = pid, python  # which runs the keeper
        self._orders, self._answers = orders, answers
        self._one_at_a_time: asyncio.Lock | None = None
        self._unread = 0  # answers that nobody waits for any more
        self.editing = False

    def keeper(self) -> None:
        """Start the keeper; one that lives already is not disturbed. Raises SetupError when the starter is gone."""
        self._order("keeper")

    async def editor(self, path: str | os.PathLike[str]) -> int:
        """Open a file in the person's editor, which takes the terminal, and return its exit code when it has ended."""
        self.editing = True
        try:
            return int(await self._ask(f"editor {_one_line(os.fspath(path))}"))
        finally:
            self.editing = False

    async def open(self, url: str) -> bool:
        """Show a web page in the person's browser; False when this machine has none."""
        scheme, mark, rest = url.partition("://")
        if scheme.lower() not in ("http", "https") or not mark:
            raise UsageError(f"{url!r} is no web address.")
        return await self._ask(f"open {scheme.lower()}://{_one_line(rest)}") == "0"

    async def wall(self) -> list[dict[str, Any]]:
        """Have a child of the starter try to get around the wall: the fields of `core.confinement.EscapeAttempt`.

        "itself" is that child then, because a shell cannot make a socket; it is held by what holds the starter.
        """
        import json

        answer = await self._ask("wall")
        if not answer:
            raise SetupError("This window's starter cannot run a Python.", hint="Run `omni environment repair`.")
        attempts: list[dict[str, Any]] = json.loads(answer)
        return attempts

    def goodbye(self) -> None:
        """The front end ends in good order: nothing has to be restored."""
        with suppress(SetupError):
            self._order("goodbye")
        self.close()

    def close(self) -> None:
        """Let go of the pipes. Without a `goodbye` before it the starter restores the terminal."""
        for name in ("_orders", "_answers"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)
        if self.pid:
            with suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)

    def _order(self, line: str) -> None:
        try:
            if self._orders < 0:
                raise BrokenPipeError
            os.write(self._orders, line.encode("utf-8", "surrogateescape") + b"\n")
        except OSError as error:
            raise SetupError(
                "This window's starter has ended, so no process can be started from here.",
                hint="Close this window of Omni and start it again; nothing is lost.",
            ) from error

    async def _ask(self, line: str) -> str:
        """Send an order and return what is answered behind its name."""
        if self._one_at_a_time is None:
            self._one_at_a_time = asyncio.Lock()
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[str] = loop.create_future()
            rest = b""

            def readable() -> None:
                nonlocal rest
                data = os.read(self._answers, 4096)
                *lines, rest = (rest + data).split(b"\n")
                for each in lines:
                    self._unread -= 1
                    if self._unread == 0 and not done.done():
                        done.set_result(each.decode().partition(" ")[2])
                if not data and not done.done():
                    hint = "Close this window of Omni and start it again."
                    done.set_exception(SetupError("This window's starter has ended.", hint=hint))

            self._order(line)
            self._unread += 1
            loop.add_reader(self._answers, readable)
            try:
                return await done
            finally:
                loop.remove_reader(self._answers)


def start(home: Home, *, full_screen: bool = True, keeper_command: Sequence[str] | None = None) -> Starter:
    """Start the starter of this process: before the wall, and before anything heavy is imported.

    With `full_screen` false only the terminal's mode is restored after a sudden death, not its screen. `keeper_command`
    is what tests replace.
    """
    import signal

    command = list(keeper_command or python_command("omni.keeper.process", packages=False))
    probe = python_command("omni.core.confinement", packages=False)
    terminal = _terminal()
    saved = _mode(terminal) if terminal >= 0 else ""
    leave = _LEAVE if full_screen else ""
    if terminal < 0:
        terminal = os.open(os.devnull, os.O_RDWR)
    orders_read, orders = os.pipe()
    answers, answers_write = os.pipe()
    try:
        pid = os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", "-c", _SCRIPT, "omni-starter", saved, leave, probe[0], probe[-1], *command],
            {**os.environ, "OMNI_HOME": os.fspath(home.root)},
            file_actions=_into_place({0: orders_read, 3: terminal, 4: answers_write}),
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTSTP, signal.SIGTERM],
        )
    finally:
        for descriptor in (orders_read, answers_write, terminal):
            os.close(descriptor)
    os.set_blocking(orders, False)
    os.set_blocking(answers, False)
    return Starter(pid, orders, answers, command[0])


def _into_place(wanted: dict[int, int]) -> list[tuple[int, ...]]:
    """Descriptor moves that do not overwrite a source before it was moved: all go up first, then down."""
    # Copies that stayed open would keep the pipe of a starter that has died.
    base = max(10, *wanted.values()) + 1
    up = [(os.POSIX_SPAWN_DUP2, source, base + target) for target, source in wanted.items()]
    down = [(os.POSIX_SPAWN_DUP2, base + target, target) for target in wanted]
    return [*up, *down, *((os.POSIX_SPAWN_CLOSE, base + target) for target in wanted)]


def _terminal() -> int:
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return -1


def _mode(terminal: int) -> str:
    """The terminal's mode as `stty` takes it back."""
    import termios

    try:
        iflag, oflag, cflag, lflag, _, _, characters = termios.tcgetattr(terminal)
    except termios.error:
        return ""
    if not sys.platform.startswith("linux"):
        return "sane"
    codes = [one[0] if isinstance(one, bytes) else one for one in characters]
    return ":".join(f"{number:x}" for number in (iflag, oflag, cflag, lflag, *codes))


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text or "\0" in text:
        raise UsageError(f"{text!r} has a line break in it.")
    return text
