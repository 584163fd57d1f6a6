"""The web interface in a real browser: whatever a brain writes is shown, and does nothing."""

import pytest

from omni.engine import Reply, ScriptedEngine
from tests.server.browser_tools import IN_A_BROWSER, Desk
from tests.server.web_tools import long_chat

pytestmark = IN_A_BROWSER

HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    '<svg onload="alert(1)"><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><style>*{background:url(https://evil.example/a)}</style>",
    "[click](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>) [vb](vbscript:msgbox(1))",
    "[a](JaVaScRiPt:alert(1)) [b](\x01javascript:alert(1)) <javascript:alert(1)> [c](//evil.example/x)",
    "![x](https://evil.example/pixel.png) ![y](data:image/svg+xml,<svg onload=alert(1)>) ![z](//evil.example/p)",
    '[x](https://evil.example/"onmouseover="alert(1)) ![a](https://evil.example/"onerror="alert(1))',
    "```html onload=alert(1)\n<img src=x onerror=alert(1)>\n```",
    '```"><img src=x onerror=alert(1)>\ncode\n```',
    r"$\href{javascript:alert(1)}{x}$ $\includegraphics{https://evil.example/a.png}$ $\url{javascript:alert(1)}$",
    r"$\htmlStyle{background:url(https://evil.example/b)}{x}$ $\htmlData{a=b}{x}$ $\def\a{\a\a}\a$",
    '```mermaid\nflowchart LR\nA["<img src=https://evil.example/c onerror=alert(1)>"] --> B\nclick A "javascript:alert(1)"\n'
    'click B call alert()\n```',
    '```mermaid\n%%{init: {"securityLevel": "loose", "themeCSS": "* {background: url(https://evil.example/d)}"}}%%\n'
    "flowchart LR\nA-->B\nstyle A fill:url(https://evil.example/e)\nclassDef c fill:url(https://evil.example/f)\nclass B c\n```",
    '```mermaid\n---\nconfig:\n  securityLevel: loose\n---\nflowchart TD\nA@{ img: "https://evil.example/g.png", label: "x" }\n```',
    "```mermaid\nsequenceDiagram\nparticipant A\nlink A: x @ javascript:alert(1)\nA->>B: <script>alert(1)</script>\n```",
    '```mermaid\nclassDiagram\nclass A["<svg onload=alert(1)>"]\nlink A "https://evil.example/h"\n```',
    "```mermaid\n" + "A-->" * 4000 + "B\n```",
    "# " * 300 + "\n" + "> " * 500 + "deep\n" + "[" * 2000 + "\n" + "**" * 2000,
    "<a href='https://evil.example' target=_top>x</a><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><button>send</button></form><input autofocus onfocus=alert(1)>",
    "<base href=https://evil.example/><link rel=stylesheet href=https://evil.example/x.css>",
    "`<img src=x onerror=alert(1)>` \u202egnp.exe &lt;script&gt;alert(1)&lt;/script&gt; \x00 \ufeff",
]  # fmt: skip


@pytest.mark.parametrize("batch", range(4))
async def test_nothing_that_a_brain_writes_runs_or_reaches_out(desk: Desk, batch: int) -> None:
    texts = HOSTILE[batch::4]
    visit = await desk.open(ScriptedEngine([Reply(text=text, reasoning=text) for text in texts]))
    page = visit.page
    await page.evaluate("addEventListener('securitypolicyviolation', e => console.error(e.blockedURI))")
    for number, text in enumerate(texts, 1):
        await visit.ask(f"<img src=x onerror=alert({number})> {text[:20]}")
        await visit.answered(number)
    settled = "[...document.querySelectorAll('[data-lang=mermaid]')].every(e => e.matches('.drawn, [data-problem]'))"
    await page.wait_for_function(f"() => {settled} || !document.querySelector('.code')")
    for summary in await page.locator(".reasoning summary").all():
        await summary.click()
    bad = await page.evaluate(
        """[...document.querySelectorAll('.message *')].flatMap(e => [
             ...(e.matches('script, iframe, object, embed, form, style, link, meta, base, svg a, foreignObject') ? [e.outerHTML] : []),
             ...[...e.attributes].filter(a => /^on/.test(a.name) || /javascript:|vbscript:/i.test(a.value) && a.name != 'data-tex'
                                               && a.name != 'alt' && a.name != 'title' && a.name != 'aria-label')
                                 .map(a => a.name + '=' + a.value),
             ...(e.tagName == 'A' && !/^(https?|mailto):/.test(e.getAttribute('href') || 'https:') ? [e.outerHTML] : []),
             ...(e.tagName == 'A' && e.hasAttribute('href') && e.rel != 'noopener noreferrer' ? [e.outerHTML] : []),
             ...(e.tagName == 'IMG' && !e.src.startsWith('blob:') ? [e.outerHTML] : []),
           ])"""
    )
    assert bad == []


async def test_links_show_where_they_lead_and_pictures_stay_away(desk: Desk) -> None:
    text = "[the bank](https://evil.example/login) https://plain.example/x ![cat](https://cats.example/cat.png)"
    text += "\n\n[![logo](https://logos.example/a.png)](https://behind.example/)"
    visit = await desk.open(ScriptedEngine([text]))
    await visit.ask("Links?")
    await visit.answered()
    shown = await visit.page.inner_text(".message.assistant .markdown")
    assert "the bank (https://evil.example/login)" in shown
    assert "https://plain.example/x" in shown
    assert "(https://plain.example/x)" not in shown
    assert "picture, not loaded: cat (https://cats.example/cat.png)" in shown
    assert "logo (https://logos.example/a.png) (https://behind.example/)" in shown
    assert await visit.page.locator("a a").count() == 0


async def test_an_address_reads_as_it_is_whatever_turns_the_writing_around(desk: Desk) -> None:
    text = "\u202e[the bank\u202e](https://evil.example/%E2%80%AEmoc.knab) [a](https://plain.example/%C3%BC)"
    visit = await desk.open(ScriptedEngine([text]))
    await visit.ask("Links?")
    await visit.answered()
    addresses = visit.page.locator(".message.assistant .address")
    assert await addresses.all_inner_texts() == [
        " (https://evil.example/%E2%80%AEmoc.knab)",
        " (https://plain.example/\u00fc)",
    ]
    around = "es => es.map(e => getComputedStyle(e).unicodeBidi)"
    assert await visit.page.locator(".message.assistant :is(a, .address)").evaluate_all(around) == ["isolate"] * 4


@pytest.mark.parametrize("opens", ["\\(", "$$ x\n", "\\[ x\n"])
async def test_formulas_that_never_end_hold_nothing_up(desk: Desk, opens: str) -> None:
    visit = await desk.open(ScriptedEngine([opens * (240_000 // len(opens))]))
    await visit.ask("Much?")
    await visit.answered()


async def test_code_is_coloured_and_copied_formulas_and_diagrams_are_drawn(desk: Desk) -> None:
    text = "```python\ndef one():\n    return 1\n```\n\n$x^2$ and\n\n$$\\frac{1}{2}$$\n\n```mermaid\nflowchart LR\n  A --> B\n```\n"
    visit = await desk.open(ScriptedEngine([Reply(text=text, reasoning="First I think.")]))
    page = visit.page
    await visit.ask("Show it")
    await visit.answered()
    await page.wait_for_selector(".hljs-keyword >> text=def")
    await page.wait_for_function("() => document.querySelectorAll('.math.drawn .katex').length == 2")
    await page.wait_for_selector("img.diagram")
    assert await page.evaluate("document.querySelector('img.diagram').naturalWidth") > 20
    await page.click("[data-act=copy]")
    assert await page.evaluate("navigator.clipboard.readText()") == "def one():\n    return 1"
    assert await page.locator(".reasoning .plain").is_hidden()
    await page.click(".reasoning summary")
    await page.wait_for_selector(".reasoning >> text=First I think.")


async def test_a_long_conversation_keeps_only_what_is_near_and_finds_the_rest(desk: Desk) -> None:
    served = await desk.serve(ScriptedEngine(["End."]))
    made = await served.chat.load(long_chat(300))
    visit = await desk.visit(served, f"#/chat/{made.id}")
    page = visit.page
    await page.wait_for_selector(".message >> text=Answer number 149")
    await page.wait_for_function("() => document.querySelector('.scroller').scrollTop > 1000")
    assert await page.locator(".message").count() == 300
    assert await page.locator(".message .markdown").count() < 60
    await page.evaluate("document.querySelector('.scroller').scrollTop = 0")
    await page.wait_for_selector("#composer")
    await page.wait_for_function("() => document.querySelector('.message.assistant .markdown')")
    await page.wait_for_function("() => document.querySelectorAll('.message .markdown').length < 60")
    await page.click("text=to the end")
    await visit.ask("More?")
    await page.wait_for_selector(".message.assistant .markdown >> text=End.")


async def test_a_short_conversation_is_whole_when_it_is_opened_and_when_it_is_opened_again(desk: Desk) -> None:
    served = await desk.serve()
    first, second = [await served.chat.load(long_chat(messages)) for messages in (12, 30)]
    visit = await desk.visit(served, f"#/chat/{first.id}")
    for made, answers in ((first, 6), (second, 15), (first, 6)):
        await visit.page.evaluate("path => { location.hash = path }", f"#/chat/{made.id}")
        await visit.page.wait_for_selector(f".markdown >> text=Answer number {answers - 1}.")
        await visit.page.wait_for_function(
            "n => document.querySelectorAll('.message.assistant .markdown').length == n", arg=answers
        )
