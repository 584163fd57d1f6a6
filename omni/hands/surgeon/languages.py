"""What is known of each language: its grammar, which nodes define something, and how its code is laid out."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct


class SourceLanguage(Struct, frozen=True, kw_only=True):
    """One language.

    `definitions` are the types of nodes that define something, with what it is. `wrappers` stand around a definition and belong to it (a
    decorator, `export`), `attached` before it. `imports` are nodes that import, `preface` those that stand before the first import.
    `member` is what a part of a class stands in when it is read alone. `apart`: blank lines between definitions at the top.
    """

    name: str
    module: str
    function: str = "language"
    suffixes: tuple[str, ...]
    definitions: Mapping[str, str]
    wrappers: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    preface: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()
    member: str = "{}"
    braces: bool = True
    apart: int = 1
    renames: bool = True


_PYTHON = SourceLanguage(
    name="python",
    module="tree_sitter_python",
    suffixes=(".py", ".pyi", ".pyw"),
    definitions={"function_definition": "function", "class_definition": "class", "assignment": "constant"},
    wrappers=("decorated_definition", "expression_statement"),
    imports=("import_statement", "import_from_statement", "future_import_statement"),
    strings=("string",),
    braces=False,
    apart=2,
)
_SCRIPT: Mapping[str, str] = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "class_declaration": "class",
    "method_definition": "method",
    "variable_declarator": "constant",
    "field_definition": "field",
}
_JAVASCRIPT = SourceLanguage(
    name="javascript",
    module="tree_sitter_javascript",
    suffixes=(".js", ".mjs", ".cjs", ".jsx"),
    definitions=_SCRIPT,
    wrappers=("export_statement", "lexical_declaration", "variable_declaration"),
    imports=("import_statement",),
    preface=("hash_bang_line",),
    strings=("template_string",),
    member="class X {{\n{}\n}}",
)
_TYPED = {
    **_SCRIPT,
    "abstract_class_declaration": "class",
    "interface_declaration": "interface",
    "type_alias_declaration": "type",
    "enum_declaration": "enum",
    "public_field_definition": "field",
    "internal_module": "namespace",
    "module": "namespace",
    "function_signature": "function",
    "method_signature": "method",
    "abstract_method_signature": "method",
}
_WRAPPED = ("export_statement", "lexical_declaration", "variable_declaration", "expression_statement", "ambient_declaration")  # fmt: skip
_TYPESCRIPT = SourceLanguage(
    name="typescript",
    module="tree_sitter_typescript",
    function="language_typescript",
    suffixes=(".ts", ".mts", ".cts"),
    definitions=_TYPED,
    wrappers=_WRAPPED,
    imports=("import_statement",),
    preface=("hash_bang_line",),
    strings=("template_string",),
    member="class X {{\n{}\n}}",
)
_TSX = SourceLanguage(
    name="tsx",
    module="tree_sitter_typescript",
    function="language_tsx",
    suffixes=(".tsx",),
    definitions=_TYPED,
    wrappers=_WRAPPED,
    imports=("import_statement",),
    preface=("hash_bang_line",),
    strings=("template_string",),
    member="class X {{\n{}\n}}",
)
_RUST = SourceLanguage(
    name="rust",
    module="tree_sitter_rust",
    suffixes=(".rs",),
    definitions={
        "function_item": "function",
        "function_signature_item": "function",
        "struct_item": "struct",
        "enum_item": "enum",
        "union_item": "union",
        "trait_item": "trait",
        "impl_item": "impl",
        "mod_item": "module",
        "const_item": "constant",
        "static_item": "constant",
        "type_item": "type",
        "macro_definition": "macro",
    },
    attached=("attribute_item",),
    imports=("use_declaration", "extern_crate_declaration"),
    preface=("inner_attribute_item",),
    strings=("raw_string_literal", "string_literal"),
    member="impl X {{\n{}\n}}",
)
_GO = SourceLanguage(
    name="go",
    module="tree_sitter_go",
    suffixes=(".go",),
    definitions={
        "function_declaration": "function",
        "method_declaration": "method",
        "type_spec": "type",
        "type_alias": "type",
        "const_spec": "constant",
        "var_spec": "variable",
    },
    wrappers=("type_declaration", "const_declaration", "var_declaration"),
    imports=("import_declaration",),
    preface=("package_clause",),
    strings=("raw_string_literal",),
)
_JAVA = SourceLanguage(
    name="java",
    module="tree_sitter_java",
    suffixes=(".java",),
    definitions={
        "class_declaration": "class",
        "interface_declaration": "interface",
        "enum_declaration": "enum",
        "record_declaration": "record",
        "annotation_type_declaration": "annotation",
        "method_declaration": "method",
        "constructor_declaration": "constructor",
        "field_declaration": "field",
    },
    imports=("import_declaration",),
    preface=("package_declaration",),
    strings=("string_literal",),
    member="class X {{\n{}\n}}",
)
_C_DEFINITIONS: Mapping[str, str] = {
    "function_definition": "function",
    "struct_specifier": "struct",
    "union_specifier": "union",
    "enum_specifier": "enum",
    "type_definition": "type",
    "preproc_def": "macro",
    "preproc_function_def": "macro",
}
_C = SourceLanguage(
    name="c",
    module="tree_sitter_c",
    suffixes=(".c", ".h"),
    definitions=_C_DEFINITIONS,
    imports=("preproc_include",),
)
_CPP = SourceLanguage(
    name="cpp",
    module="tree_sitter_cpp",
    suffixes=(".cc", ".cpp", ".cxx", ".hpp", ".hh", ".hxx"),
    definitions={**_C_DEFINITIONS, "class_specifier": "class", "namespace_definition": "namespace"},
    wrappers=("template_declaration",),
    imports=("preproc_include",),
    strings=("raw_string_literal",),
    member="class X {{\n{}\n}};",
)
_HTML = SourceLanguage(
    name="html",
    module="tree_sitter_html",
    suffixes=(".html", ".htm"),
    definitions={"element": "element", "script_element": "element", "style_element": "element"},
    strings=("text", "raw_text"),
    braces=False,
    apart=0,
    renames=False,
)
_CSS = SourceLanguage(
    name="css",
    module="tree_sitter_css",
    suffixes=(".css",),
    definitions={
        "rule_set": "rule",
        "media_statement": "rule",
        "keyframes_statement": "rule",
        "supports_statement": "rule",
    },
    imports=("import_statement",),
    preface=("charset_statement",),
    renames=False,
)
_SQL = SourceLanguage(
    name="sql",
    module="tree_sitter_sql",
    suffixes=(".sql",),
    definitions={
        "create_table": "table",
        "create_view": "view",
        "create_materialized_view": "view",
        "create_index": "index",
        "create_function": "function",
        "create_type": "type",
        "create_trigger": "trigger",
        "create_schema": "schema",
        "create_sequence": "sequence",
    },
    wrappers=("statement",),
    braces=False,
    renames=False,
)
LANGUAGES: Mapping[str, SourceLanguage] = MappingProxyType(
    {
        each.name: each
        for each in (_PYTHON, _JAVASCRIPT, _TYPESCRIPT, _TSX, _RUST, _GO, _JAVA, _C, _CPP, _HTML, _CSS, _SQL)
    }
)


_IS_CPP = re.compile(rb"(?m)^\s*(?:class|namespace|template|using|public:|private:|extern \"C\+\+\")(?!\w)")


def language_of(path: str, source: bytes = b"") -> str | None:
    """The language of a file, by the end of its name, and where that says too little by what it holds; None for one that is not known."""
    lower = path.lower()
    if lower.endswith(".h") and _IS_CPP.search(source[:100_000]):
        return "cpp"
    return next((each.name for each in LANGUAGES.values() if lower.endswith(each.suffixes)), None)
