#!/usr/bin/env bash
# Playwright's `wait_for_function` on a page whose policy forbids `eval` works with an expression that is true at once, works
# with a function always, and fails with an expression that has to be waited for: a test that is green on a fast machine.
#
# Versions: playwright (Python) 1.65.2, Debian's Chromium 156, Python 3.11, Linux x86-64.
# Guessed: an expression and a function are two spellings of one wait, and a page's Content-Security-Policy binds the page's own
#   scripts, not what the driver evaluates.
# Seen: the first look goes past the policy. Each later look happens inside the page, where an expression is evaluated by `eval`
#   and a function is not: under `script-src 'self'` the expression raises EvalError after some milliseconds.
set -euo pipefail

browser=$(command -v chromium || command -v chromium-browser) || { echo "this needs Debian's chromium" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check playwright==1.65.2 2>"$folder/pip.log" ||
    { cat "$folder/pip.log" >&2; exit 1; }

"$folder/venv/bin/python" - "$browser" <<'PYTHON'
import sys

from playwright.sync_api import Error, sync_playwright

WAITS = {
    ("expression", "true at once"): ("performance.now() > 0", True),
    ("expression", "true later"): ("performance.now() > %d", False),
    ("function", "true later"): ("() => performance.now() > %d", True),
}
POLICY = {"Content-Security-Policy": "script-src 'self'"}
seen = {}
with sync_playwright() as playwright:
    with playwright.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"]) as browser:
        page = browser.new_page()
        page.route("http://page.test/*", lambda route: route.fulfill(body="<p>text", content_type="text/html", headers=POLICY))
        page.goto("http://page.test/")
        for which, (wait, _) in WAITS.items():
            later = page.evaluate("performance.now()") + 500
            try:
                page.wait_for_function(wait % later if "%d" in wait else wait, timeout=10_000)
                seen[which] = True
            except Error as error:
                seen[which] = "unsafe-eval" not in str(error)
for (form, when), good in seen.items():
    print(f"{form:10}  {when:13}  {'waits' if good else 'is refused by the policy'}")
same = seen == {which: good for which, (_, good) in WAITS.items()}
print("as it was seen" if same else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not same)
PYTHON
