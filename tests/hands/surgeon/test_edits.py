"""One edit by the name of a symbol: what it becomes, in each language, and what is refused and why."""

import textwrap

import pytest

from omni.hands.surgeon import EditRefused, SymbolEdit, edited, language_of, outline, problem_of


def lines(text: str) -> bytes:
    return textwrap.dedent(text).lstrip("\n").encode()


PYTHON = lines(
    '''
    """What it does."""

    import os
    from typing import Any

    LIMIT = 3


    @cached
    def first(a, b=1):  # kept
        """Says."""
        return a + b


    class Shop:
        name = "x"

        def open(self, when):
            return self.close(when)

        def close(self, when): return LIMIT


    def last(): pass
    '''
)


def done(source: bytes, language: str, action: str, symbol: str = "", text: str = "") -> bytes:
    """The source after an edit; all bytes outside of one place are as they were."""
    after = edited(source, language, SymbolEdit(action=action, symbol=symbol, text=text))  # type: ignore[arg-type] # one of them
    assert problem_of(after, language) == ""
    return after


def test_the_symbols_of_a_source() -> None:
    assert [(one.name, one.kind, one.first_line, one.last_line) for one in outline(PYTHON, "python")] == [
        ("LIMIT", "constant", 6, 6),
        ("first", "function", 9, 12),
        ("Shop", "class", 15, 21),
        ("Shop.name", "constant", 16, 16),
        ("Shop.open", "method", 18, 19),
        ("Shop.close", "method", 21, 21),
        ("last", "function", 24, 24),
    ]


@pytest.mark.parametrize(
    "sent",
    [
        "def first(a, b=2):\n    return a * b",
        "```python\ndef first(a, b=2):\n    return a * b\n```",
        "\n\n    def first(a, b=2):\r\n        return a * b\r\n\n",
        "Here is it:\n```\ndef first(a, b=2):\n\treturn a * b\n```\nDone.",
    ],
)
def test_a_symbol_is_replaced_however_it_is_sent_and_keeps_its_decorators(sent: str) -> None:
    after = done(PYTHON, "python", "replace", "first", sent)
    assert after == PYTHON.replace(
        b'def first(a, b=1):  # kept\n    """Says."""\n    return a + b', b"def first(a, b=2):\n    return a * b"
    )


def test_decorators_that_are_sent_take_the_place_of_the_old_ones() -> None:
    after = done(PYTHON, "python", "replace", "first", "@other\ndef first():\n    return 1")
    assert b"@cached" not in after
    assert b"@other\ndef first():\n    return 1\n\n\nclass" in after


def test_a_method_is_laid_out_for_its_class() -> None:
    after = done(PYTHON, "python", "replace", "Shop.close", 'def close(self):\n    x = """\nleft\n  """\n    return x')
    assert b'    def close(self):\n        x = """\nleft\n  """\n        return x\n\n\ndef last' in after
    assert done(
        PYTHON, "python", "replace", "close", "def close(self, when): return LIMIT + 1"
    )  # there is one of that name


def test_a_body_is_replaced_alone_or_out_of_the_whole() -> None:
    wanted = PYTHON.replace(b"return self.close(when)", b"now = when\n        return now")
    assert done(PYTHON, "python", "replace_body", "Shop.open", "now = when\nreturn now") == wanted
    assert (
        done(PYTHON, "python", "replace_body", "Shop.open", "def open(self, x):\n  now = when\n  return now") == wanted
    )
    after = done(PYTHON, "python", "replace_body", "Shop.close", "return 7")
    assert after == PYTHON.replace(b"when): return LIMIT", b"when):\n        return 7")


def test_code_is_put_beside_and_into_symbols() -> None:
    new = "def new():\n    return 1"
    assert done(PYTHON, "python", "insert_after", "LIMIT", "MORE = 4") == PYTHON.replace(b"= 3\n", b"= 3\nMORE = 4\n")
    assert done(PYTHON, "python", "insert_before", "Shop", new) == PYTHON.replace(
        b"class Shop", b"def new():\n    return 1\n\n\nclass Shop"
    )
    assert done(PYTHON, "python", "append", "Shop", new) == PYTHON.replace(
        b"return LIMIT\n", b"return LIMIT\n\n    def new():\n        return 1\n"
    )
    assert done(PYTHON, "python", "append", "", new) == PYTHON + b"\n\ndef new():\n    return 1\n"


def test_a_symbol_is_deleted_with_its_lines() -> None:
    assert b"close(self" not in done(PYTHON, "python", "delete", "Shop.close")
    assert done(PYTHON, "python", "delete", "last") == PYTHON.removesuffix(b"\n\ndef last(): pass\n")
    assert done(b"class A:\n    def f(self):\n        return 1\n", "python", "delete", "A.f") == b"class A:\n    pass\n"
    assert done(b"X = 1\n\nY = 2\n", "python", "delete", "X") == b"Y = 2\n"


@pytest.mark.parametrize(
    ("source", "sent", "after"),
    [
        ('"""D."""\nimport a\n\nx = 1\n', "import b", '"""D."""\nimport a\nimport b\n\nx = 1\n'),
        ('"""D."""\nx = 1\n', "from b import c", '"""D."""\n\nfrom b import c\nx = 1\n'),
        ("x = 1\n", "import b", "import b\n\nx = 1\n"),
        ("#!/bin/python\n# coding: utf-8\nx = 1\n", "import b", "#!/bin/python\n# coding: utf-8\nimport b\n\nx = 1\n"),
        ("# c\r\nimport a\r\nx = 1\r\n", "import b", "# c\r\nimport a\r\nimport b\r\nx = 1\r\n"),
    ],
)
def test_an_import_is_put_behind_the_others(source: str, sent: str, after: str) -> None:
    assert done(source.encode(), "python", "add_import", "", sent) == after.encode()


def test_a_name_is_changed_where_it_means_the_symbol() -> None:
    after = done(PYTHON, "python", "rename", "LIMIT", "MOST")
    assert after == PYTHON.replace(b"LIMIT", b"MOST")
    after = done(PYTHON, "python", "rename", "Shop.close", "shut")
    assert after == PYTHON.replace(b"close", b"shut")
    script = b"function a() { return { a, b: x.a }; }\nexport const c = a;\n"
    assert done(script, "javascript", "rename", "a", "z") == (
        b"function z() { return { a: z, b: x.a }; }\nexport const c = z;\n"
    )
    listed = b'__all__ = ["f"]\n\ndef f():\n    return "f"\n'
    assert done(listed, "python", "rename", "f", "g") == b'__all__ = ["g"]\n\ndef g():\n    return "f"\n'


@pytest.mark.parametrize(
    ("source", "symbol", "new", "words"),
    [
        ("def f(): pass\ndef g(f): return f\n", "f", "h", "may mean something else in line 2"),
        ("def f(): pass\nfor f in x: pass\n", "f", "h", "may mean something else in line 2"),
        ("def f(): pass\ndef g():\n    f = 1\n    return f\n", "f", "h", "may mean something else in line 3"),
        ("class A:\n    def f(self): pass\n\nx.f()\n", "A.f", "h", "may mean something else in line 4"),
        ("def f(): pass\nh = 1\n", "f", "h", "is used in it already"),
        ("def f(): pass\n", "f", "1h", "is no name"),
        ("def f(): pass\n", "f", "class", "would not parse"),
        ("class A: pass\n\ndef g(x: 'list[A]'): pass\n", "A", "B", "may mean something else in line 3"),
        ("def f(): pass\n\nmatch x:\n    case f: pass\n", "f", "h", "may mean something else in line 4"),
    ],
)
def test_a_name_that_may_mean_something_else_is_left(source: str, symbol: str, new: str, words: str) -> None:
    with pytest.raises(EditRefused, match=words):
        edited(source.encode(), "python", SymbolEdit(action="rename", symbol=symbol, text=new))


def test_names_that_the_grammar_does_not_tell_apart_are_left() -> None:
    called = b"def f(): pass\n\ng(f=1, a=f)\n# f\nx = 'f'\n"
    assert done(called, "python", "rename", "f", "h") == b"def h(): pass\n\ng(f=1, a=h)\n# f\nx = 'f'\n"
    for language, source, symbol in (
        ("java", "class A { int f; int g() { return f; } }", "A.f"),
        ("c", "int f(void) { return 0; }\n#define G f()\n", "f"),
    ):
        with pytest.raises(EditRefused, match="may mean something else"):
            edited(source.encode(), language, SymbolEdit(action="rename", symbol=symbol, text="h"))


@pytest.mark.parametrize(
    ("language", "source", "sent", "after"),
    [
        ("c", "int f(void) { return 0; }", "int x", "int f(int x) { return 0; }"),
        ("python", "def f(): pass", "x", "def f(x): pass"),
        ("python", "def f(a, *b, **c): pass", "x=1", "def f(a, *b, x=1, **c): pass"),
        ("python", "def f(\n    a,\n    b,\n): pass", "x: int = 1", "def f(\n    a,\n    b,\n    x: int = 1,\n): pass"),
        ("javascript", "function f(a, ...b) {}", "x = 1", "function f(a, x = 1, ...b) {}"),
        ("typescript", "const f = (a: number) => a;", "x: string", "const f = (a: number, x: string) => a;"),
        ("rust", "fn f(a: u8) {}", "x: u8", "fn f(a: u8, x: u8) {}"),
        ("go", "package p\n\nfunc f(a int) {}", "x int", "package p\n\nfunc f(a int, x int) {}"),
        ("java", "class A { void f() {} }", "int x", "class A { void f(int x) {} }"),
        ("c", "int *f(int a) { return 0; }", "char x", "int *f(int a, char x) { return 0; }"),
    ],
)
def test_a_parameter_is_added_in_the_manner_of_the_others(language: str, source: str, sent: str, after: str) -> None:
    symbol = "A.f" if language == "java" else "f"
    assert done(source.encode(), language, "add_parameter", symbol, sent) == after.encode()


LANGUAGES = {
    "javascript": ("export function a() {\n  return 1;\n}\n", "a", "function a() {\n    return 2;\n}", "export function a() {\n    return 2;\n}\n"),
    "typescript": ("class A {\n  m(x: number): void {\n    f();\n  }\n}\n", "A.m", "m(x: string): void {\n  g();\n}", "class A {\n  m(x: string): void {\n    g();\n  }\n}\n"),
    "tsx": ("const V = () => <p>a</p>;\n", "V", "const V = () => <p>b</p>;", "const V = () => <p>b</p>;\n"),
    "rust": ("#[test]\nfn a() -> u8 {\n    1\n}\n", "a", "fn a() -> u8 {\n    2\n}", "#[test]\nfn a() -> u8 {\n    2\n}\n"),
    "go": ("package p\n\nfunc (r *R) M() int {\n\treturn 1\n}\n", "R.M", "func (r *R) M() int {\n    return 2\n}", "package p\n\nfunc (r *R) M() int {\n\treturn 2\n}\n"),
    "java": ("class A {\n    @Override\n    int m() { return 1; }\n}\n", "A.m", "int m() { return 2; }", "class A {\n    int m() { return 2; }\n}\n"),
    "c": ("static int f(void)\n{\n\treturn 1;\n}\n", "f", "static int f(void)\n{\n    return 2;\n}", "static int f(void)\n{\n\treturn 2;\n}\n"),
    "cpp": ("namespace n {\nvoid A::m() const { f(); }\n}\n", "n.A.m", "void A::m() const { g(); }", "namespace n {\nvoid A::m() const { g(); }\n}\n"),
    "html": ('<body>\n  <div id="a"><p>x</p></div>\n</body>\n', "a", '<div id="a"><p>y</p></div>', '<body>\n  <div id="a"><p>y</p></div>\n</body>\n'),
    "css": (".a > b,\nc { color: red; }\n", ".a > b, c", ".a > b, c { color: blue; }", ".a > b, c { color: blue; }\n"),
    "sql": ("CREATE TABLE a.b (x int);\nSELECT 1;\n", "a.b", "CREATE TABLE a.b (y int);", "CREATE TABLE a.b (y int);\nSELECT 1;\n"),
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_symbol_is_replaced_in_each_language(language: str) -> None:
    source, symbol, sent, after = LANGUAGES[language]
    assert done(source.encode(), language, "replace", symbol, sent) == after.encode()


@pytest.mark.parametrize(
    ("language", "source", "symbol", "sent", "after"),
    [
        ("javascript", "function a() {\n  return 1;\n}\n", "a", "return 2;", "function a() {\n  return 2;\n}\n"),
        (
            "javascript",
            "function a() {\n  return 1;\n}\n",
            "a",
            "{\n  return 2;\n}",
            "function a() {\n  return 2;\n}\n",
        ),
        ("rust", "impl A {\n    fn a() { 1 }\n}\n", "A.a", "2", "impl A {\n    fn a() {\n        2\n    }\n}\n"),
        ("css", ".a {\n  b: c;\n}\n", ".a", "d: e;", ".a {\n  d: e;\n}\n"),
    ],
)
def test_a_body_in_braces_is_replaced(language: str, source: str, symbol: str, sent: str, after: str) -> None:
    name = (
        "impl A.a"
        if language == "rust" and "impl A.a" in {one.name for one in outline(source.encode(), language)}
        else symbol
    )
    assert done(source.encode(), language, "replace_body", name, sent) == after.encode()


def test_what_a_file_has_of_its_own_stays() -> None:
    for before in (b"\xef\xbb\xbf", b""):
        for newline in (b"\n", b"\r\n"):
            for end in (b"", newline):
                source = before + newline.join([b"# \x0c", b"def f():", b"    return 1", b"\x0c", b"X = 1  # y"]) + end
                after = done(source, "python", "replace_body", "f", "a = 1\nreturn a")
                assert after == source.replace(b"return 1", b"a = 1" + newline + b"    return a")
                new = done(source, "python", "insert_after", "X", "Y = 2")
                assert new == source.removesuffix(end) + newline + b"Y = 2" + end
                assert done(new, "python", "delete", "Y") == source


@pytest.mark.parametrize(
    ("language", "source", "edit", "words"),
    [
        ("python", "x = 1\n", ("replace", "y", "y = 2"), "There is no 'y' in it."),
        ("python", "def f(): pass\n", ("replace", "f", "def g(): pass"), "does not define 'f'"),
        ("python", "def f(): pass\n", ("replace", "f", "def f(:"), "does not define 'f'|would not parse"),
        ("python", "def f(): pass\n", ("replace_body", "f", "return ("), "would not parse"),
        ("python", "def f(): pass\ndef f(): pass\n", ("delete", "f", ""), "is defined 2 times: f#1 in line 1, f#2 in line 2"),
        ("python", "x = 1; y = 2\n", ("delete", "x", ""), "shares its line"),
        ("python", "def f(a): pass\n", ("add_parameter", "f", "a"), "has a parameter 'a' already"),
        ("python", "import a\n", ("add_import", "", "import a"), "imported already"),
        ("python", "x = 1\n", ("add_import", "", "x = 2"), "is no import"),
        ("python", "x = 1\n", ("append", "", "  \n"), "no code"),
        ("python", "x = 1\n", ("add_parameter", "x", "a"), "takes no parameters"),
        ("css", "a { b: c }\n", ("rename", "a", "d"), "used by other files"),
        ("html", "<p id=a></p>", ("add_import", "", "x"), "no imports in html"),
        ("perl", "x", ("append", "", "x"), "no grammar for 'perl'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_the_reason(
    language: str, source: str, edit: tuple[str, str, str], words: str
) -> None:
    action, symbol, text = edit
    with pytest.raises(EditRefused, match=words):
        edited(source.encode(), language, SymbolEdit(action=action, symbol=symbol, text=text))  # type: ignore[arg-type] # one of them


@pytest.mark.parametrize(
    "source",
    [
        b"(" * 50_000,
        b"x" * 30_000,
        b"\xff\xfe",
        b"a" * (3 << 20),
        b"[" * 500 + b"]" * 500,
        b"# c\n" * 30_000,
        b"if x:\n" * 3,
    ],
)
def test_hostile_sources_are_refused(source: bytes) -> None:
    with pytest.raises(EditRefused):
        edited(source, "python", SymbolEdit(action="replace", symbol="x", text="x = 1"))


def test_half_a_character_is_replaced() -> None:
    assert b"'?'" in edited(b"x = 1\n", "python", SymbolEdit(action="replace", symbol="x", text="x = '\ud800'"))


def test_a_source_with_faults_elsewhere_gets_no_more_of_them() -> None:
    broken = b"function a() { return 1; }\nfunction b( {\n"
    assert edited(broken, "javascript", SymbolEdit(action="replace", symbol="a", text="function a() { return 2; }"))
    with pytest.raises(EditRefused):
        edited(broken, "javascript", SymbolEdit(action="replace", symbol="a", text="function a() { return (; }"))


def test_languages_are_told_by_names_and_headers_by_what_they_hold() -> None:
    assert [language_of(name) for name in ("a.py", "A.TSX", "b.h", "x.hpp", "c.mjs", "Makefile")] == [
        *("python", "tsx", "c", "cpp", "javascript", None)
    ]
    assert language_of("b.h", b"#pragma once\nnamespace a {\n}\n") == "cpp"
    assert "line 1" in problem_of(b"def f(:\n", "python")
    assert "line 2" in problem_of(b"x = 1\nreturn = 2\n", "python")
