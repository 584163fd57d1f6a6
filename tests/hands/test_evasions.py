"""Ways around our own rules: `rm` is denied, a few programs are allowed, and nothing else may run without a question.

Each is judged only, never executed, and would do little: there is nothing to remove..
"""

from pathlib import Path

import pytest

from omni.core.paths import Home
from tests.hands.hands_tools import Judged, make_project, shell, with_rules

# What a shell makes of words, quotes and names.
WORDS = r"""
\rm x
r\m x
"rm" x
'rm' x
r''m x
r"m" x
"r"'m' x
/bin/rm x
/usr/bin/rm x
./rm x
../project/rm x
$'rm' x
$'\x72m' x
$'\162\155' x
$"rm" x
{rm,x}
r{m,m} x
r? x
/bin/r* x
$cmd x
${cmd} x
${cmd:-rm} x
$(echo rm) x
`echo rm` x
"$(printf rm)" x
x=rm; $x y
x=r y=m; $x$y z
${x/a/rm} y
${!x} y
${x@P}
~/rm x
./ls
bin/git status
git$IFS"status"
{git,status,--output=x}
l's'"$(rm x)"
cat${IFS}/etc/passwd
cat{,} /etc/passwd
git\ status
RM=1 rm x
=rm x
"git status" x
"""

# What stands before, after, between and inside commands.
COMPOUNDS = r"""
ls; rm x
ls;rm x
ls&rm x
ls & rm x
ls && rm x
ls || rm x
ls | rm x
ls |& rm x
false || rm x
! rm x
! ! rm x
time rm x
time -p rm x
time ! rm x
time { rm x; }
! { rm x; }
coproc rm x
coproc N { rm x; }
{ rm x; }
(rm x)
( ( rm x ) )
(ls; (ls; rm x))
if ls; then rm x; fi
if rm x; then ls; fi
if ls; then ls; elif rm x; then ls; fi
if ls; then ls; else rm x; fi
while rm x; do ls; done
until ls; do rm x; done
for a in 1; do rm x; done
for a in $(rm x); do ls; done
for ((a=0; a<1; a++)); do rm x; done
for ((a=$(rm x); a<1; a++)); do ls; done
select a in 1; do rm x; done
case x in x) rm y;; esac
case $(rm x) in y) ls;; esac
case x in $(rm y)) ls;; esac
ls() { rm x; }; ls
function ls { rm x; }; ls
git() { rm x; }; git status
f() (rm x); f
ls() { :; }
[[ $(rm x) ]]
[ $(rm x) ]
[ a > out ]
[ -v 'a[$(rm x)]' ]
[ $x ]
[[ -v 'a[$(rm x)]' ]]
[[ a[$(rm x)] -eq 0 ]]
[[ x -eq 0 ]]
(( a[$(rm x)] ))
((rm x); ls)
$((rm x); ls)
echo $((a[$(rm x)]))
echo $(( $(rm x) ))
let 'a[$(rm x)]=1'
a[$(rm x)]=1
declare 'a[$(rm x)]=1'
a=$(rm x)
a=$(rm x) ls
a=(1 $(rm x))
echo "$(rm x)"
echo "a `rm x` b"
echo ${a:-$(rm x)}
echo ${a:=`rm x`}
echo "${a:+$(rm x)}"
ls $(rm x)
ls "$(ls $(rm x))"
cat <(rm x)
ls >(rm x)
ls < <(rm x)
ls > $(rm x)
grep a <<< "$(rm x)"
echo `ls #` ; rm x
trap 'rm x' EXIT
x='a[$(rm y)]'; [ -v $x ]
x='$(rm y)'; eval "echo $x"
printf -v 'a[$(rm x)]' 1
printf -vPATH /tmp
printf '%n' 'a[$(rm x)]'
x=-vPATH; printf $x /tmp
test -v 'a[$(rm x)]'
test $x
read 'a[$(rm x)]' < data.txt
unset 'a[$(rm x)]'
"""

# Commands inside texts, and lines that are read otherwise than they look.
LINES = [
    "ls\nrm x",
    "ls\n\nrm x\n",
    "ls # a comment\nrm x",
    "ls \\\n; rm x",
    "r\\\nm x",
    "ls \\\n\\\n&& rm x",
    "ls\trm\nrm\tx",
    "ls\rrm x",
    "ls\vrm x",
    "git\u00a0status",
    "ls\u2028rm x",
    "ls\x00rm x",
    "ls \x1b[2K rm x",
    "cat <<END\n$(rm x)\nEND",
    "cat <<END\n`rm x`\nEND",
    'cat <<"END"\ntext\nEND\nrm x',
    "cat <<'END'\ntext\n END\nEND\nrm x",
    "cat <<-END\n\ttext\n\tEND\nrm x",
    "cat <<END\ntext\nEND \nEND\nrm x",
    "cat <<'E'; rm x\ntext\nE",
    "cat <<'E' && rm x\ntext\nE",
    "cat <<'E' | rm x\ntext\nE",
    "cat <<A <<B\na\nA\nb\nB\nrm x",
    "cat <<E\\OF\ntext\nEOF\nrm x",
    "cat << 'A B'\ntext\nA B\nrm x",
    "cat <<''\ntext\n\nrm x",
    "bash <<'E'\nrm x\nE",
    "python <<'E'\nprint(1)\nE",
    "cat <<'E' > out\ntext\nE",
    "cat > out <<'E'\ntext\nE",
    "echo `ls #` ; rm x\n`",
    "echo `echo \\`rm x\\``",
    "echo $(ls # )\nrm x)",
    "echo $(cat <<'E'\n)\nE\n); rm x",
    'echo "\\"; rm x #"; rm x',
    "echo 'a'\\''; rm x'; rm x",
    'echo "$(echo ")" ; rm x)"',
    "ls)\nrm x",
    "ls }; rm x",
    "if ls; then",
    "ls '",
    "ls \\",
    "ls &&",
    "case x in (x) rm y ;; esac",
    "x=1\nPATH=.\nls",
    "(" * 80 + "rm x" + ")" * 80,
    "ls " + "a" * 30_000,
    "ls \ud800",
]

# Programs that run other programs, or whatever they are told.
LAUNCHERS = r"""
env rm x
env -i rm x
env -- rm x
env A=1 rm x
env -u A rm x
env -C / rm x
env -S 'rm x'
env -S'rm x'
env --split-string='rm x'
env -vS 'rm x'
env PATH=. ls
env LD_PRELOAD=./x.so ls
env BASH_ENV=x bash -c ls
env
nice rm x
nice -n 5 rm x
nice -5 rm x
nohup rm x
timeout 5 rm x
timeout -k 1 5 rm x
timeout --signal=KILL 5 rm x
timeout 5 timeout 5 rm x
stdbuf -oL rm x
setsid rm x
ionice -c 3 rm x
command rm x
command -p rm x
builtin eval 'rm x'
builtin command rm x
exec rm x
exec -a ls rm x
exec 3>out
eval rm x
eval "rm" "x"
eval 'ls; rm x'
eval "$x"
eval 'eval "rm x"'
source ./x
. ./x
. data.txt
bash -c 'rm x'
bash -c "ls; rm x"
bash -ec 'rm x'
bash -c 'bash -c "rm x"'
bash -lc ls
bash -ic ls
bash --rcfile x -c ls
bash -c "$x"
bash x.sh
bash < data.txt
bash -s
bash
sh -c 'rm x'
dash -c 'rm x'
zsh -c ls
cat data.txt | bash
cat data.txt | sh -s
echo 'rm x' | bash
xargs rm
ls | xargs rm
ls | xargs -n 1 rm
ls | xargs -I{} rm {}
ls | xargs -I{} sh -c 'rm {}'
ls | xargs cat
ls | xargs git diff
ls | xargs sh
ls | xargs --max-lines rm echo
ls | xargs -l rm echo
ls | xargs -i rm echo
ls | xargs -e rm echo
ls | xargs --max-lines=1 rm
xargs -a data.txt cat
xargs --arg-file=data.txt ls
find . -delete
find . -name x -delete
find . -exec rm {} \;
find . -exec rm {} +
find . -exec sh -c 'rm x' \;
find . -exec sh -c 'rm "$1"' _ {} \;
find . -execdir ls {} \;
find . -ok rm {} \;
find . -okdir rm {} \;
find . -fprint out
find . -fprintf out %p
find . -fls out
find . -files0-from data.txt
find -L . -name x
find . -exec ls {} \; -exec rm {} \;
find . -exec cat {} \;
find / -name x
find .. -name x
find $x -name y
find links -exec cat {} +
find links -type l -exec grep x {} \;
diff -r links docs
find docs -name guide.md -exec sort + -o out {} \;
find docs -exec ls + -delete \;
find . -name pre-commit -exec tee {} +
ls | find docs -name '*.sample' -exec tee {} \;
parallel rm ::: x
watch rm x
watch 'rm x'
script -c 'rm x'
flock x rm y
flock x -c 'rm y'
unshare rm x
chroot . rm x
busybox rm x
busybox sh -c ls
strace rm x
setarch x86_64 rm x
taskset 1 rm x
ssh host rm x
ssh -o ProxyCommand='rm x' host
su -c 'rm x'
sudo ls
sudo -n git status
doas ls
pkexec ls
runuser -u nobody ls
env sudo ls
timeout 5 sudo ls
bash -c 'sudo ls'
ls | xargs sudo ls
/usr/bin/sudo ls
python -c 'print(1)'
python3 -c 'print(1)'
python x.py
python -m pip install x
python -m pytest.evil
python - < data.txt
python
PYTHONSTARTUP=x python -m pytest
node -e 1
node x.js
perl -e 1
ruby -e 1
awk 'BEGIN { system("rm x") }'
awk 'BEGIN { print > "out" }'
awk '{ print | "rm x" }' data.txt
awk -f x.awk
gawk -i inplace 1 x
sed -i s/a/b/ src/app.py
sed --in-place s/a/b/ src/app.py
sed -n 'w out' data.txt
sed 's/a/b/w out' data.txt
sed 's/a/rm x/e' data.txt
sed '1e rm x' data.txt
sed -f script.sed data.txt
sed '/x/e rm x' data.txt
sed '/x/w out' data.txt
sed '/a/,/b/w out' data.txt
sed -n '/x/p;w out' data.txt
sed '/x/r /etc/passwd' data.txt
sed 'p\nw out' data.txt
sed 's/x/y/;e' data.txt
sed -e p -e '1e rm x' data.txt
sed -ne 'w out' data.txt
sed --expression='w out' data.txt
sed 's/a/b/;w out' data.txt
sed r/etc/passwd data.txt
sed $x data.txt
sed -l 5p '1e rm x' data.txt
sed -nl 5p 'w out' data.txt
sed 's/a/b/;w out' data.txt
sed -n 'p;1e rm x' data.txt
sed 's/a/b/;s/c/d/w out' data.txt
sed 's/a/b/; r /etc/passwd' data.txt
sed 's/[/]/;s/w a/out/p' data.txt
sed 's|[|]|;s|w out|x|p' data.txt
sed 's/a/b/;s/[^/]/;s/w a/out/p' data.txt
sed -n 's/[[:alpha:]/]/;s/w a/out/p' data.txt
sed -n '/[/]/p;/x/w out' data.txt
sed '/[/s/]/w a/p' data.txt
sed '/[/,/x/s/]/w a/p' data.txt
vim -c ':!rm x' README.md
less README.md
man -P 'rm x' ls
make SHELL=./x test
make test CC=./x
make -f x test
make test -f x
make test --file=x
make test --eval='x:;rm y'
make test -C src
make test other
make
tar -cf out .
tar xf x.tar
tar tf x.tar --to-command='rm x'
tar tf x.tar --checkpoint=1 --checkpoint-action=exec='rm x'
rsync -e 'rm x' a b
curl -o out https://example.org
wget https://example.org
npm test --script-shell=./x
npm test --script-s=./x
npm --prefix ../outside test
npm test --prefix ../outside
npm test -C ../outside
npm test -node-options=--require=./x
npm test ---node-options=--require=./x
npm test ---script-shell=./x
npm test -prefix=src
npm test --logs-dir=src
make test -t
make test --touch
pytest --alluredir=src/out
pytest --benchmark-json=out.json
pytest --snapshot-update
cargo test -- --logfile src/out
go test -test.trace=out
go test -test.testlogfile=out
go test -test.outputdir=src
go test -c
npm exec x
npm run other
npm install x
npx x
pytest -p x
pytest -p=x
pytest -px
pytest -c x.ini
pytest --config-file=x.ini
pytest --rootdir=..
pytest -o python_files=x
pytest --override-ini=addopts=-px
pytest --basetemp=src
pytest --pyargs os
pytest @data.txt
pytest ../outside
pytest /tmp/outside-of-it
pytest --junitxml=out.xml
pytest --pastebin=all
pytest --pdbcls=x:Y
cargo test --config x
cargo test --manifest-path=../outside/Cargo.toml
cargo run
ruff check --fix src
ruff check --fix-only src
ruff check --add-noqa src
ruff check --config 'x' src
ruff check -o out src
sort -o out data.txt
sort --output=out data.txt
sort --compress-program=./x data.txt
sort --files0-from=data.txt
sort -T .. data.txt
sort -uo out data.txt
uniq data.txt out
tree -o out
rg --pre ./x a
rg --files ..
rg -0e x /etc/passwd
tee ../outside/out
tee .git/hooks/pre-commit
ls | tee way-out/new
"""

# What git is told beside its subcommand.
GIT = r"""
git -c core.pager='rm x' status
git -c alias.status='!rm x' status
git -c core.fsmonitor=./x status
git -ccore.fsmonitor=./x status
git --config-env=core.pager=X status
git --exec-path=. status
git --git-dir=../outside status
git --git-dir ../outside status
git --work-tree=/ status
git -C .. status
git -C /tmp/outside-of-it status
git -C way-out status
git -C $x status
git -p status
git --paginate diff
git diff --output=out
git diff --outp=out
git diff --output out
git diff --ext-diff
git diff --ext-d
git diff --textconv
git diff --no-index /etc/passwd data.txt
git diff --no-index a b
git diff -Oorder
git diff $(rm x)
git diff $x
git diff "$x"
git diff /tmp/outside-of-it/private.txt
git log --output=out
git log -p --ext-diff
git log --show-signature
git push
git commit -m x
git config alias.x '!rm x'
git config core.pager 'rm x'
git clone --upload-pack='rm x' a b
git fetch --upload-pack='rm x'
git grep -O'rm x' a
git submodule foreach 'rm x'
git bisect run rm x
git rebase -x 'rm x' HEAD~1
git difftool -x 'rm x'
git x
git
git --version status; rm x
GIT_PAGER='rm x' git diff
GIT_EXTERNAL_DIFF='rm x' git diff
GIT_SSH_COMMAND='rm x' git status
GIT_CONFIG_COUNT=1 git status
PAGER='rm x' git diff
export GIT_PAGER='rm x'; git diff
HOME=. git status
"""

# Variables and builtins that change what comes after them.
SHELL_STATE = r"""
PATH=. ls
PATH=.:$PATH ls
PATH=. ; ls
export PATH=.; ls
declare -x PATH=.; ls
readonly PATH=.; ls
LD_PRELOAD=./x.so ls
LD_LIBRARY_PATH=. git status
BASH_ENV=x bash -c ls
ENV=x sh -c ls
IFS=/; ls
PS4='$(rm x)'
PROMPT_COMMAND='rm x' ls
PYTEST_ADDOPTS='-p x' pytest
PYTEST_PLUGINS=x pytest
PYTHONPATH=. pytest
NODE_OPTIONS='--require ./x' npm test
npm_config_script_shell=./x npm test
npm_config_prefix=.. ; npm test
MAKEFLAGS='SHELL=./x' make test
RUSTC_WRAPPER=./x cargo test
LESSOPEN='|rm %s' git diff
EDITOR='rm x' git status
TAR_OPTIONS=x ls
GREP_OPTIONS=x grep a data.txt
for PATH in .; do ls; done
read PATH < data.txt; ls
alias ls='rm x'; ls
alias ls='rm x'
shopt -s expand_aliases
set -a; path=x
enable -f ./x ls
hash -p ./x ls; ls
trap 'ls' DEBUG
unset PATH
set -- rm x; "$@"
"$@"
$0 -c ls
mapfile -C 'rm x' a < data.txt
complete -C 'rm x' ls
exec < data.txt
export -f ls
declare -n x=y
umask 0; ls
ulimit -c unlimited
cd ..
cd /
cd /tmp/outside-of-it
cd way-out
cd
cd -
cd ~
cd $x
cd "$(pwd)/.."
cd missing; cat ../outside/private.txt
cd missing && ls; cat ../data.txt
false && cd src; cat ../data.txt
cd src || ls; cat ../data.txt; false && cd deep; cat ../../data.txt
cd src & cat ../outside/private.txt
cd src | cat ../outside/private.txt
(cd src); cat ../outside/private.txt
env cd src; cat ../outside/private.txt
if ls; then cd src; fi; cat ../data.txt
for i in 1 2 3; do cd ..; cat data.txt; done
cd src; cd ..; cd ..; ls
cd() { :; }; cd src; cat ../data.txt
pushd src; cat ../data.txt
CDPATH=/ cd etc
cd way-out/..; cat data.txt
"""

# Files: outside, secret, by links, and written by redirections.
FILES = r"""
x='1 /etc/passwd'; head -n $x
x='1 -o out'; sort -k $x data.txt
x='a -delete'; find . -name $x
x='1p -i'; sed -n -e $x data.txt
head -n $(echo 1 /etc/passwd)
timeout $x ls
nice -n $x ls
grep -A $x a data.txt
cat /etc/passwd
cat ../outside/private.txt
cat /tmp/outside-of-it/private.txt
cat src/../../outside/private.txt
cat ./way-out/private.txt
cat way-out.txt
cat ~/.ssh/id_rsa
cat ~root/x
cat .env
cat ./.env
cat .en?
cat .e*
cat .[e]nv
ls .*
grep x .*/outside/private.txt
cat way-to-env
cat src/.env.local
cat keys/*
cat keys/id_*
cat keys/server.pem
cat .npmrc
cat < .env
cat < /etc/passwd
cat 0< ../outside/private.txt
cat -- .env
cat -n .env
head -n 5 .env
head -5 /etc/passwd
tail -n 3 ../outside/private.txt
grep x .env
grep -e x .env
grep -ex .env
grep --regexp=x /etc/passwd
grep -f .env data.txt
grep --file=.env data.txt
grep -r secret .
grep -r secret
grep -R secret src
grep -rn secret keys
grep --recursive secret .
grep -nr secret ./
rg secret
rg secret .
rg -e secret keys
find keys -name '*.pem' -exec cat {} +
find . -name .env -exec cat {} \;
diff .env data.txt
diff -r keys src
sort .env
wc -l .env /etc/passwd
sed -n p .env
sed -n 1p ../outside/private.txt
od -w .env
cut -c1-9 .env
paste .env data.txt
tr a b < .env
sha256sum .env
date -f .env
date -f/etc/passwd
file -f .env
ls ..
ls /
ls way-out
ls > out
ls >> out
ls >| out
ls &> out
ls &>> out
ls >& out
ls 2> out
ls 1>out 2>&1
ls > src/app.py
ls > .git/hooks/pre-commit
ls > ../outside/out
ls > /tmp/outside-of-it/out
ls > way-out/out
ls > "$x"
ls > ou*
ls > $(echo out)
ls <> out
exec 3<> out
> src/app.py
: > src/app.py
>out ls
{ ls; } > out
(ls) > out
if ls; then ls; fi > out
while false; do ls; done > out
ls | cat > out
ls && ls > out
ls > /dev/tcp/127.0.0.1/9
cat < /dev/tcp/127.0.0.1/9
cat /dev/sda
cat /proc/self/environ
cat /proc/self/root/etc/passwd
cat /dev/stdin/../../../etc/passwd
mkdir ../outside/new
mkdir .git/new
cp data.txt out
mv data.txt out
ln -s / out
touch out
dd if=data.txt of=out
install data.txt out
truncate -s 0 data.txt
chmod 777 data.txt
kill 1
"""


def evasions() -> list[str]:
    listed = [
        line for text in (WORDS, COMPOUNDS, LAUNCHERS, GIT, SHELL_STATE, FILES) for line in text.strip().splitlines()
    ]
    return list(dict.fromkeys([*listed, *LINES]))


def test_there_are_enough_of_them() -> None:
    assert len(evasions()) >= 450


@pytest.mark.parametrize("command", evasions(), ids=ascii)
def test_nothing_gets_around_the_rules_unasked(judged: Judged, command: str) -> None:
    assert judged(command).verdict in ("ask", "deny"), [part.text for part in judged(command).parts]


@pytest.mark.parametrize(
    "command",
    [
        "rm x",
        "/bin/rm x",
        r"\rm x",
        "r''m x",
        "ls && rm x",
        "ls | rm x",
        "echo $(rm x)",
        'echo "`rm x`"',
        "cat <(rm x)",
        "if ls; then rm x; fi",
        "ls() { rm x; }; ls",
        "env A=1 timeout 5 nice -n 3 rm x",
        "find . -exec rm {} +",
        "ls | xargs rm -f",
        "bash -c 'ls; rm x'",
        "eval 'ls; rm x'",
        "busybox rm x",
        "ssh host rm x",
        "watch 'rm x'",
        "! { rm x; }",
        "ls > $(rm x)",
        "${x:-$(rm y)} a",
        "exec 3<>out; rm x",
        "bash -O extglob -c 'rm x'",
        "bash --norc --noprofile -c 'ls; rm x'",
        "zsh -c 'ls && rm x'",
        'sh -c "rm $x"',
        'eval "rm $x"',
        "watch 'ls; rm x'",
        "ssh host 'cd /; rm x'",
        "env -S 'A=1 rm x'",
        "npm exec -- rm x",
        "uv run rm x",
        "git bisect run rm x",
        "git submodule foreach 'rm x'",
        "git rebase -x 'rm x' HEAD~1",
    ],
)
def test_what_is_denied_stays_denied_wherever_it_stands(judged: Judged, command: str) -> None:
    assert judged(command).verdict == "deny"


@pytest.mark.parametrize(
    "command",
    [
        "git push",
        "git --no-pager push",
        "git -c a.b=c push",
        "git --super-prefix x push",
        "git --attr-source HEAD push",
        "git submodule foreach git push",
    ],
)
def test_a_subcommand_that_is_denied_is_denied_after_every_option(tmp_path: Path, command: str) -> None:
    standing = with_rules(Home(tmp_path / "home").ensure(), deny=("git push",))
    assert standing.judge(shell(make_project(tmp_path), command)).verdict == "deny"


@pytest.mark.parametrize("command", ["rm -rf x", "rm -fr x", "rm -r -f x", "rm -vrf x", "rm x -r -f"])
def test_letters_of_options_are_denied_in_any_order(tmp_path: Path, command: str) -> None:
    standing = with_rules(Home(tmp_path / "home").ensure(), allow=("rm",), deny=("rm -rf",))
    project = make_project(tmp_path)
    assert standing.judge(shell(project, command)).verdict == "deny"
    assert standing.judge(shell(project, "rm -r missing")).verdict == "allow"


@pytest.mark.parametrize(
    "command",
    [
        "sudo ls",
        "doas ls",
        "su",
        "env sudo ls",
        "bash -c 'sudo ls'",
        'bash -c "sudo $x"',
        "ls | xargs sudo",
        "/usr/bin/sudo ls",
    ],
)
def test_becoming_another_user_is_refused_in_words(judged: Judged, command: str) -> None:
    judgement = judged(command)
    assert judgement.verdict == "deny"
    assert "becomes another user" in judgement.reason
