"""What is known of programs: which only read, which options make one run, send or write what its name does not say, and which
words of a command tell what it does. Data, with the few lines that look things up in it.

Of a program that is not here nothing is known but its arguments: a rule for it allows what it was made for.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple


class KnownProgram(NamedTuple):
    """A row. Options are parted by blanks; `=` at the end: it has a value, which is no path; `-#` stands for `-20`.

    `options`: all that may be given without being asked about; None: any but the `risky` ones, and no word like `strange`. The first
    `texts` arguments are no paths, `-1`: none is. `most`: so many arguments are what its name says, one more is asked about.
    `walks`: with these options, or always (`*`), it reads folders with all that is in them. `free`: it only reads and prints.
    `any_dashes`: `-option` and `---option` are `--option` to it.
    """

    options: str | None = None
    risky: str = ""
    strange: str = ""
    texts: int = 0
    most: int | None = None
    walks: str = ""
    free: bool = False
    any_dashes: bool = False


def _names(text: str, sign: str = " ") -> frozenset[str]:
    return frozenset(text.split(sign))


def _reads(
    options: str | None = "", *, texts: int = 0, most: int | None = None, walks: str = "", strange: str = ""
) -> KnownProgram:
    """A program that only reads its arguments and prints, with these options."""
    return KnownProgram(options, strange=strange, texts=texts, most=most, walks=walks, free=True)


_GREP = (
    "-E -F -G -P -i -v -w -x -c -o -q -s -b -H -h -n -T -Z -a -I -l -L -r -y -z -U -# -m= -A= -B= -C= --color --colour --color= --count "
    "--extended-regexp --fixed-strings --ignore-case --invert-match --word-regexp --line-regexp --only-matching --quiet --silent "
    "--no-messages --with-filename --no-filename --line-number --text --files-with-matches --files-without-match --recursive "
    "--include= --exclude= --exclude-dir= --max-count= --after-context= --before-context= --context= --binary-files= -e= --regexp= --null"
)
_GIT_RISKS = "--output -o --ext-diff --textconv --filters --open-files-in-pager -O --upload-pack --receive-pack --exec --no-index --show-signature --gpg-sign -S --edit-description --extcmd"

PROGRAMS = {
    # What only reads.
    ":": _reads(None, texts=-1), "true": _reads(None, texts=-1), "false": _reads(None, texts=-1), "echo": _reads(None, texts=-1),
    "printf": _reads(texts=-1, strange=r"%[^A-Za-z%]*[hlLjzt]*n"), # which sets a variable
    "pwd": _reads("-L -P"), "exit": _reads(texts=-1), "[": _reads(), "[[": _reads(), "sleep": _reads(texts=-1),
    "test": _reads("-e -f -d -r -w -x -s -n -z -L -h -p -S -b -c -g -k -u -t -a -o -eq -ne -lt -le -gt -ge -nt -ot -ef"),
    "seq": _reads("-w -s= -f= -#", texts=-1), "nproc": _reads("--all"), "uname": _reads("-a -s -n -r -v -m -p -i -o"),
    "whoami": _reads(), "id": _reads("-u -g -n -r -G", texts=-1), "arch": _reads(), "uptime": _reads("-p -s"), "free": _reads("-h -m -g -b -k"),
    "basename": _reads("-a -s= -z", texts=-1), "dirname": _reads("-z", texts=-1),
    "realpath": _reads("-e -m -s -q"), "readlink": _reads("-f -e -m -n"),
    "which": _reads("-a", texts=-1), "type": _reads("-a -t -p -P", texts=-1), "expr": _reads(texts=-1),
    "date": _reads("-u -R -I --iso-8601 --utc --rfc-3339=", texts=-1, strange="^[^+-]"),
    "cat": _reads("-A -b -e -E -n -s -t -T -u -v --number --number-nonblank --show-all --show-ends --squeeze-blank"),
    "head": _reads("-n= -c= -q -v -z -# --lines= --bytes= --quiet --silent"),
    "tail": _reads("-n= -c= -q -v -z -# --lines= --bytes= --quiet --silent"),
    "wc": _reads("-c -m -l -L -w --lines --words --bytes --chars"),
    "nl": _reads("-b= -n= -w= -s= -v= -i="), "tac": _reads("-s="), "rev": _reads(), "paste": _reads("-d= -s"),
    "fold": _reads("-w= -s -b"), "expand": _reads("-t= -i"), "column": _reads("-t -s= -o="), "cut": _reads("-b= -c= -d= -f= -s -z --delimiter= --fields= --complement"),
    "tr": _reads("-c -C -d -s -t", texts=-1), "uniq": _reads("-c -d -u -i -z -f= -s= -w= --count", most=1),
    "sort": _reads("-b -d -f -g -h -i -M -n -r -R -s -u -V -z -c -C -k= -t= --reverse --unique --numeric-sort --key= --human-numeric-sort --version-sort"),
    "comm": _reads("-1 -2 -3 -12 -13 -23 --check-order --nocheck-order"), "cmp": _reads("-s -l -b -n= -i="),
    "diff": _reads("-u -q -s -N -a -b -w -B -i -y -c -p -r -U= -C= -W= --brief --unified= --unified --color --color= --side-by-side --recursive --ignore-all-space", walks="-r --recursive"),
    "ls": _reads("-1 -a -A -b -c -C -d -f -F -g -G -h -i -k -l -m -n -N -o -p -q -Q -r -R -s -S -t -u -U -v -x -X -Z -I= --color --color= --all --almost-all --classify --directory --full-time --group-directories-first --human-readable --inode --recursive --reverse --si --size --sort= --time= --time-style= --width= -w="),
    "tree": _reads("-a -d -f -i -s -h -p -t -r -F -C -n -L= -P= -I= --dirsfirst --gitignore --noreport --prune --du --charset="),
    "stat": _reads("-c= -t --format= --printf= --terse"), "file": _reads("-b -i -k -s -0 --brief --mime --mime-type"),
    "du": _reads("-a -b -c -d= -h -k -m -s -x --max-depth= --apparent-size --summarize --human-readable --total"), "df": _reads("-a -h -i -k -T -l"),
    "md5sum": _reads("-b -t"), "sha1sum": _reads("-b -t"), "sha256sum": _reads("-b -t"), "sha512sum": _reads("-b -t"), "cksum": _reads(),
    "hexdump": _reads("-C -b -c -d -o -x -v -n= -s="), "od": _reads("-A= -t= -N= -j= -w -v -a -b -c -d -o -x"),
    "grep": _reads(_GREP, texts=1, walks="-r --recursive"), "egrep": _reads(_GREP, texts=1, walks="-r --recursive"), "fgrep": _reads(_GREP, texts=1, walks="-r --recursive"),
    "rg": _reads("-a -i -s -S -v -w -x -c -l -n -N -o -p -F -q -H -I -U -P -0 -# -e= -g= -t= -T= -m= -A= -B= -C= -d= -j= -M= -r= -E= --hidden --files-with-matches --files-without-match --count --json --no-heading --heading --line-number --no-line-number --ignore-case --smart-case --case-sensitive --fixed-strings --multiline --color= --glob= --iglob= --type= --type-not= --max-count= --max-depth= --sort= --stats --trim --column --vimgrep --no-ignore --word-regexp --context= --after-context= --before-context= --regexp=", texts=1, walks="*"),
    # What a rule is needed for, and asks for more with these.
    "git": KnownProgram(risky=_GIT_RISKS, strange=r"^[\w+-]+::"),
    "find": _reads("-name= -iname= -path= -ipath= -wholename= -iwholename= -regex= -iregex= -regextype= -type= -maxdepth= -mindepth= -newer= -newermt= -anewer= -mtime= -atime= -ctime= -mmin= -amin= -cmin= -size= -empty -not -and -or -a -o -print -print0 -prune -perm= -user= -group= -links= -inum= -samefile= -xdev -mount -depth -ls -printf= -true -false -quit -executable -readable -writable -ignore_readdir_race -noleaf -daystart"),
    "pytest": KnownProgram(strange="^@", risky="-c --config-file -p -o --override-ini --rootdir --confcutdir --basetemp --pyargs --pdb --pdbcls --trace --junitxml --junit-xml --junit-prefix --log-file --report-log --resultlog --pastebin --debug --cov-report --cov-config --html --json-report-file --alluredir --benchmark-json --benchmark-save --benchmark-autosave --benchmark-storage --snapshot-update --inline-snapshot --store-durations --durations-path --force-regen --regen-all --rsyncdir --tx --looponfail"),
    "npm": KnownProgram(risky="--prefix -C --script-shell --node-options --userconfig --globalconfig --cache --shell --init-module --git --editor --viewer --call -c --package --registry --location --global -g --node-gyp --nodedir --proxy --https-proxy --cafile --browser --logs-dir", any_dashes=True),
    "make": KnownProgram(risky="-f --file --makefile -C --directory -I --include-dir -E --eval -W -o --old-file --assume-old --environment-overrides -e -t --touch", most=1, strange="="),
    "cargo": KnownProgram(risky="--config --manifest-path -Z --target-dir --lockfile-path -C --out-dir --artifact-dir --registry --index --unit-graph", strange="^--logfile"),
    "go": KnownProgram(strange=r"^--?(test\.)?(exec|toolexec|overlay|testlogfile|gocoverdir|fuzzcachedir|c|modfile|modcacherw|mod|o|C|vettool|pkgdir|gccgoflags|ldflags|gcflags|asmflags|compiler|outputdir|.*profile|trace)(=|$)"),
    "sed": _reads("-n -E -r -s -z -u --quiet --silent --regexp-extended --separate -e= --expression=", texts=1),
    "ruff": KnownProgram(strange="^@", risky="--config --output-file -o --cache-dir --stdin-filename --fix --unsafe-fixes --fix-only --add-noqa --extension"),
    "mypy": KnownProgram(strange="^@", risky="--config-file --python-executable --junit-xml --html-report --txt-report --xml-report --any-exprs-report --cobertura-xml-report --lineprecision-report --linecount-report --linecoverage-report --xslt-html-report --xslt-txt-report --cache-dir --shadow-file --custom-typeshed-dir --plugins --install-types --package-root --custom-typing-module --cache-map --dump-build-stats --timing-stats --line-checking-stats"),
    "tee": KnownProgram("-a -i --append", texts=0), "mkdir": KnownProgram("-p -v -m= --parents --verbose --mode="), "touch": KnownProgram("-a -c -m -d= -t="),
}  # fmt: skip

# Programs whose arguments are written, made or taken away: each is judged as a change of that path.
WRITERS = _names("rm rmdir mv cp ln install tee touch mkdir mkfifo truncate shred chmod chown chgrp split csplit patch unlink")  # fmt: skip
DESTROYERS = _names("rm rmdir shred truncate dd mkfs wipefs unlink fdisk parted kill pkill killall crontab shutdown reboot halt systemctl mv")  # fmt: skip
DESTROYING_WORDS = _names("git push,git reset,git clean,git checkout,git restore,git rm,git branch,git stash,git rebase,git filter-branch,git gc,git reflog,git update-ref,git worktree,docker rm,docker system,docker volume,docker rmi,kubectl delete,npm publish,npm unpublish,cargo publish,terraform destroy,terraform apply,find", ",")  # fmt: skip

# Become somebody else: never, whatever the rules say.
REFUSED = _names("sudo sudoedit su doas pkexec run0 runuser gosu su-exec setpriv")  # fmt: skip
# Run what they are told in ways of their own, so that only a rule for the very same words allows one.
SHELLS = _names("bash sh dash ash zsh ksh mksh fish csh tcsh rbash")
INTERPRETERS = SHELLS | _names("python pypy node nodejs deno bun perl ruby php lua luajit tclsh wish Rscript R julia ghci irb java jshell groovy scala awk gawk mawk nawk original-awk m4 bc dc gdb lldb sqlite3 psql mysql mongosh redis-cli ed ex vi vim nvim view emacs nano less more man pwsh expect osascript jq yq")  # fmt: skip
LAUNCHERS = _names("parallel watch script ssh chroot unshare nsenter flock busybox toybox strace ltrace setarch linux32 linux64 taskset chrt ionice firejail bwrap systemd-run at batch crontab dbus-run-session xvfb-run tmux screen entr direnv nix nix-shell npx pnpx bunx uvx pipx docker podman kubectl ansible vagrant rsync scp sftp curl wget nc ncat netcat socat telnet ftp openssl proot fakeroot unbuffer rlwrap torify proxychains catchsegv valgrind perf numactl prlimit choom start-stop-daemon daemonize cpulimit eatmydata trap coproc alias eval source . exec enable complete compgen bind mapfile readarray hash shopt set tar zip unzip 7z rpm dpkg apt apt-get pip pip3 gem")  # fmt: skip
# Builtins that change how what comes after them is understood.
CHANGES_THE_SHELL = _names("alias unalias set shopt enable hash trap bind complete source . eval declare typeset local readonly export unset read mapfile readarray getopts let pushd popd dirs")  # fmt: skip

# How many words tell what a command does, where that is not one: `git commit`, `npm run build`.
SUBCOMMANDS = {"git": 2, "npm": 2, "pnpm": 2, "yarn": 2, "cargo": 2, "go": 2, "uv": 2, "poetry": 2, "make": 2, "just": 2, "hatch": 2, "tox": 1, "rustup": 2, "dotnet": 2, "mvn": 2, "gradle": 2, "bundle": 2, "rake": 2, "composer": 2, "helm": 2, "terraform": 2, "gh": 2, "brew": 2, "conda": 2, "omni": 2, "nox": 1, "task": 2, "bazel": 2, "cmake": 1, "mix": 2, "swift": 2, "ruff": 2}  # fmt: skip
# Subcommands that run what they are told, or whatever a third word names.
DEEPER = {("npm", "run"), ("pnpm", "run"), ("yarn", "run"), ("npm", "run-script")}
OPEN = {("npm", "exec"), ("npm", "x"), ("npm", "explore"), ("npm", "config"), ("pnpm", "exec"), ("pnpm", "dlx"), ("yarn", "exec"), ("yarn", "dlx"), ("yarn", "node"), ("cargo", "run"), ("cargo", "install"), ("go", "run"), ("go", "generate"), ("go", "install"), ("go", "tool"), ("uv", "run"), ("uv", "tool"), ("poetry", "run"), ("hatch", "run"), ("bundle", "exec"), ("git", "config"), ("git", "bisect"), ("git", "submodule"), ("git", "filter-branch"), ("git", "rebase"), ("git", "difftool"), ("git", "mergetool"), ("git", "hook"), ("git", "daemon"), ("git", "remote-ext"), ("git", "upload-pack"), ("git", "for-each-repo"), ("git", "clone"), ("git", "archive"), ("git", "maintenance"), ("git", "instaweb"), ("git", "web--browse"), ("git", "help"), ("git", "credential"), ("git", "send-email"), ("git", "var"), ("gh", "alias"), ("gh", "extension"), ("gh", "api"), ("conda", "run"), ("dotnet", "exec"), ("dotnet", "run"), ("mix", "run"), ("swift", "run"), ("bazel", "run")}  # fmt: skip
# What stands between git and its subcommand: these, and `-C FOLDER`.
GIT_PLAIN = frozenset(
    ("--no-pager", "-P", "--no-optional-locks", "--literal-pathspecs", "--no-replace-objects", "--icase-pathspecs")
)

# Variables that change what is printed, and nothing that is run, read or written.
PLAIN_VARIABLES = _names("LANG LC_ALL LC_CTYPE LC_MESSAGES LC_COLLATE LC_NUMERIC LC_TIME TZ NO_COLOR FORCE_COLOR CLICOLOR CLICOLOR_FORCE CI COLUMNS LINES TERM PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE PYTHONHASHSEED NODE_ENV RUST_BACKTRACE RUST_LOG LOG_LEVEL PY_COLORS DJANGO_DEBUG_TOOLBAR SOURCE_DATE_EPOCH")  # fmt: skip
# Lower-case names that programs read, where they are in the environment already.
READ_BY_PROGRAMS = re.compile(r".*_proxy|npm_.*|pnpm_.*|histchars|auto_resume|rsync_.*|git_.*|dotenv.*")

# What runs another command as it is: flags, options with a value, and how many words stand before that command.
WRAPPERS = {
    "nice": ("-#", "-n", 0), "nohup": ("", "", 0), "timeout": ("--foreground --preserve-status -v", "-k -s --kill-after --signal", 1),
    "stdbuf": ("", "-i -o -e", 0), "setsid": ("-w -f -c", "", 0), "time": ("-p", "", 0), "command": ("-p", "", 0), "builtin": ("", "", 0),
    "exec": ("-c -l", "-a", 0), "env": ("-i -v -", "-u", 0), "ionice": ("-t", "-c -n", 0),
    "xargs": ("-0 -r -t -x --null --no-run-if-empty --verbose --exit", "-n -P -L -s -d -E --max-args --max-procs --delimiter", 0),
}  # fmt: skip
KEEPS_THE_SHELL = frozenset(("command", "builtin"))  # `cd` by these changes the folder


def base_name(word: str) -> str:
    """The name of a program without its folder, and Python's without its version."""
    name = word.rpartition("/")[2]
    return re.sub(r"^(python|pypy)[0-9.]*$", r"\1", name)


def is_system_path(word: str) -> bool:
    """Whether a program is named by its path in a folder of the system."""
    return word.rpartition("/")[0] in ("/bin", "/usr/bin", "/usr/local/bin")


def heads(words: Sequence[str]) -> tuple[str, ...]:
    """The words of a command that tell what it does, in the form that rules are compared with: `/bin/git -C x status` is
    `git status`. A program in another folder than the system's keeps that."""
    if not words:
        return ()
    name = base_name(words[0]) if "/" not in words[0] or is_system_path(words[0]) else words[0]
    if name != "git":
        return (name, *words[1:])
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):
        taken = (
            2
            if rest[0] in ("-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env", "--exec-path")
            else 1
        )
        del rest[:taken]
    return (name, *rest)


def narrowest(words: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The rule for a command that allows the least beside it: its words, and whether it is for these words only.

    Of what runs whatever it is told only the very same words are allowed.
    """
    known = heads(words)
    name = known[0]
    if name == "python" and len(known) > 2 and known[1] == "-m" and re.fullmatch(r"[\w.]+", known[2]):
        return known[:3], False
    if is_open(known):
        return known, True
    count = SUBCOMMANDS.get(name, 1)
    if known[:2] in DEEPER:
        count = 3
    leading = known[:count]
    if len(leading) < count or any(word.startswith("-") for word in leading[1:]):
        return known, True
    return leading, False


def is_open(words: Sequence[str]) -> bool:
    """Whether a rule that begins with these words and allows any after them would allow everything."""
    name = words[0]
    if name == "python":
        return not (len(words) > 2 and words[1] == "-m")
    if (
        "/" in name
        or name in INTERPRETERS | LAUNCHERS | CHANGES_THE_SHELL | WRAPPERS.keys()
        or tuple(words[:2]) in OPEN
    ):
        return True
    needed = 3 if tuple(words[:2]) in DEEPER else SUBCOMMANDS.get(name, 1)
    return len(words) < needed


def runs_others(words: Sequence[str]) -> bool:
    """Whether a command runs what its arguments say, in a way that is not known here."""
    return words[0] in LAUNCHERS | SHELLS | WRAPPERS.keys() or tuple(words[:2]) in OPEN


def program_of(words: Sequence[str]) -> KnownProgram:
    """What is known of the program that a command runs."""
    if words[:2] == ("python", "-m") and len(words) > 2:
        return PROGRAMS.get(words[2], KnownProgram())
    return PROGRAMS.get(words[0], KnownProgram())


def word_problem(program: KnownProgram, word: str) -> str:
    """Why a word of a command is asked about wherever it stands; "" where it is not."""
    return f"`{word}` says more than a path or a text" if program.strange and re.search(program.strange, word) else ""


def option_problem(program: KnownProgram, option: str) -> str:
    """Why an option is asked about; "" where it is not. It may have its value after `=`, and be several letters in one."""
    name = option.partition("=")[0]
    if program.options is not None:
        return "" if _is_listed(program.options.split(), option) else f"what `{name}` does is not judged"
    if program.any_dashes and len(name.lstrip("-")) > 1:
        name = f"--{name.lstrip('-')}"
    for risk in program.risky.split():
        # Long ones may be shortened, letters may stand together.
        shortened = risk.startswith("--") and len(name) > 2 and risk.startswith(name)
        among = len(risk) == 2 and not option.startswith("--") and risk[1] in option[1:]
        if name == risk or shortened or among:
            return f"`{risk}` may run, read or write something else"
    return ""


def takes_value(program: KnownProgram, option: str) -> bool:
    """Whether the next word belongs to an option, and is no path."""
    if program.options is None or "=" in option:
        return False
    listed = program.options.split()
    if option.startswith("--") or f"{option}=" in listed:
        return f"{option}=" in listed and option not in listed
    return f"-{option[-1]}=" in listed and not any(f"-{letter}=" in listed for letter in option[1:-1])


def _is_listed(listed: list[str], option: str) -> bool:
    name, equals, _ = option.partition("=")
    if option.startswith("--"):
        return f"{name}=" in listed or (not equals and name in listed)
    if option in listed or f"{option}=" in listed or ("-#" in listed and option[1:].isdigit()):
        return True
    for at, letter in enumerate(option[1:], 1):
        if f"-{letter}=" in listed:
            return True  # what comes after it is its value
        if f"-{letter}" not in listed:
            return bool("-#" in listed and option[at:].isdigit())
    return True
