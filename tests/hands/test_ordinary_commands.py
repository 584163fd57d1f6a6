"""Asking about everything would be no way to be safe: what people do all day runs without a question under ordinary rules."""

import pytest

from tests.hands.hands_tools import Judged

ORDINARY = r"""
ls
ls -la
ls -la src tests
ls -R src
ls src/*.py
ls *.md docs
pwd
echo done
echo "several words; and a sign: $HOME"
echo --- part two ---
printf '%s\n' one two
true
cat README.md
cat src/app.py src/util.py
cat src/*.py
cat -n src/app.py
cat "README.md" 'data.txt'
cat ./src/../README.md
head README.md
head -20 src/app.py
head -n 5 src/app.py src/util.py
tail -n 3 data.txt
tail -c 100 data.txt
wc -l src/*.py
wc README.md
stat README.md
file README.md
du -sh src
tree -L 2 src
diff src/app.py src/util.py
diff -u README.md data.txt
grep main src/app.py
grep -n "def main" src/app.py
grep -rn TODO src/deep
grep -rn "two words" docs tests
grep -i -A 3 -B 2 error data.txt
grep -e one -e two data.txt
grep -c '^import' src/app.py
grep "a|b" data.txt | wc -l
grep -v '^#' Makefile | head -5
rg -n main src/deep
find . -name '*.py'
find src tests -type f -name "*.py" -not -path "*/deep/*"
find . -maxdepth 2 -type d
find src -name '*.py' | sort | head
find src/deep -name '*.py' -exec grep -l core {} +
find src/deep -name '*.py' -exec wc -l {} \;
find . -type f \( -name '*.md' -o -name '*.txt' \) -print0
sed -n '1,20p' src/app.py
sed -n 5p README.md
sed -n '1,5p;8,10p' src/app.py
sed 's/a/b/; s|c|d|g' data.txt
sed -n '/[0-9]/p;/^[^a-z]/p' src/app.py
sed 's/[0-9]/x/' data.txt
sed 's/[[:space:]]*$//; s/[;:] / /g' data.txt
sed -n '/def /p' src/app.py
sed -n '/one/,/two/p' src/app.py
sed '/^#/d' Makefile
sed 's/some/more/g' data.txt
sed -e 's|a|b|' data.txt
sort data.txt
sort -u data.txt | uniq -c | sort -rn
cut -d, -f1 data.txt
tr a-z A-Z < data.txt
cat data.txt | tr -d '\n'
basename src/app.py .py
dirname src/deep/core.py
which python
date +%Y-%m-%d
sha256sum README.md
test -f README.md && echo there
[ -f README.md ] && cat README.md
[[ -d src ]] && ls src
[ "$CI" = true ] || echo local
if [ -f data.txt ]; then cat data.txt; else echo none; fi
for name in one two; do echo "$name"; done
git status
git status --short
git status -sb
git --no-pager diff
git diff
git diff --stat HEAD~1
git diff --cached -- src/app.py
git diff main...HEAD --name-only
git log --oneline -5
git log --format='%h %s' -n 3 -- src
git -C src status
/usr/bin/git status
pytest
pytest -q
pytest -x tests/test_app.py
pytest tests/test_app.py::test_one -v --tb=short
pytest -k "one and not two" tests
pytest -q 2>&1 | tail -20
python -m pytest -q
python3 -m pytest tests -x
npm test
npm test -- --watch=false
npm test -ws
npm run build
make test
make test 2>/dev/null || echo failed
cargo test
cargo test --release -- --nocapture
ruff check src
ruff check . --select E,F
cd src && ls
cd src && git diff && cd deep && cat core.py
(cd tests && ls) && cat README.md
cd src; ls; pwd
{ git status; git diff; } | cat
git status && git diff | head -50; ls
timeout 60 pytest -q
time pytest -q
nice -n 10 pytest
NO_COLOR=1 pytest -q
env CI=1 npm test
bash -c 'git status && ls'
sh -c "cat README.md | wc -l"
command -v git
command ls src
git status > /dev/null
ls missing 2>/dev/null
pytest -q &> /dev/null
! grep -q nothing README.md
cat <<'END'
some text with $(nothing) in it
END
cat <<END
plain text of $USER
END
git status # what is there
cat .env.example
mkdir -p build/new
ls && ls \
  src
echo "$(git status)"
x=1; echo $x
cat < README.md
sleep 1; true
xargs -n 1 echo < data.txt
""".strip()


def commands(text: str) -> list[str]:
    """One a line; what begins a text or goes on in the next line is taken with it."""
    listed: list[str] = []
    for line in text.splitlines():
        before = listed[-1] if listed else ""
        if before.endswith("\\") or ("END" in before.partition("\n")[0] and not before.endswith("\nEND")):
            listed[-1] = f"{before}\n{line}"
        else:
            listed.append(line)
    return listed


def test_there_are_enough_of_them() -> None:
    assert len(set(commands(ORDINARY))) >= 110


@pytest.mark.parametrize("command", commands(ORDINARY))
def test_an_ordinary_command_runs_without_a_question(judged: Judged, command: str) -> None:
    judgement = judged(command)
    assert judgement.verdict == "allow", [
        (part.text, part.reason) for part in judgement.parts if part.verdict != "allow"
    ]
