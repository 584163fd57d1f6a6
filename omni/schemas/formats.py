"""Texts of the formats that JSON Schema names, as patterns.

Each admits part of what its format does: what people write, and every reader takes. A format that is not here is a note
for people, as it is for the validator that proves an answer.
"""

_DAY = (  # from the year 1000 on
    "(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9]{0,30}(?:-[a-zA-Z0-9]{1,15})?)?"
_HOST = rf"{_LABEL}(?:\.{_LABEL}){{0,3}}"
_DOMAIN = rf"(?:{_LABEL}\.){{1,3}}[a-zA-Z]{{2,12}}"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_WORD = "[0-9a-fA-F]{1,4}"
_SIGNS = r"(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})"
_PATH = f"(?:/{_SIGNS}*)*"
_QUERY = rf"(?:\?(?:{_SIGNS}|[/?])*)?(?:#(?:{_SIGNS}|[/?])*)?"
_ADDRESS = rf"(?:[a-zA-Z][a-zA-Z0-9+.-]{{0,15}}://{_HOST}(?::[1-9][0-9]{{0,3}})?{_PATH}|(?:urn|mailto|tel|data):{_SIGNS}+){_QUERY}"
_REFERENCE = rf"(?:{_ADDRESS}|(?:[a-zA-Z0-9._~-]+{_PATH}|/{_SIGNS}*{_PATH})?{_QUERY})"
_EMAIL = rf"[a-zA-Z0-9_+-]{{1,18}}(?:\.[a-zA-Z0-9_+-]{{1,14}}){{0,3}}@{_DOMAIN}"
_DAYS = "(?:[0-9]{1,6}Y(?:[0-9]{1,6}M(?:[0-9]{1,6}D)?)?|[0-9]{1,6}M(?:[0-9]{1,6}D)?|[0-9]{1,6}D)"
_HOURS = "T(?:[0-9]{1,6}H(?:[0-9]{1,6}M(?:[0-9]{1,6}S)?)?|[0-9]{1,6}M(?:[0-9]{1,6}S)?|[0-9]{1,6}S)"
_WIDE_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_WIDE_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
_WIDE_EMAIL = r"[\s\S]+@[\s\S]+"
_WIDE_ADDRESS = "[a-zA-Z][a-zA-Z0-9+.-]*:[^ ]*"

FORMATS = {
    "date": _DAY,
    "time": _TIME,
    "date-time": f"{_DAY}T{_TIME}",
    "duration": f"P(?:[0-9]{{1,6}}W|{_DAYS}(?:{_HOURS})?|{_HOURS})",
    "email": _EMAIL,
    "idn-email": _EMAIL,
    "hostname": _HOST,
    "idn-hostname": _HOST,
    "ipv4": rf"{_BYTE}(?:\.{_BYTE}){{3}}",
    "ipv6": f"(?:(?:{_WORD}:){{7}}{_WORD}|(?:{_WORD}:){{1,6}}:{_WORD}|::{_WORD}(?::{_WORD}){{0,6}}|(?:{_WORD}:){{1,7}}:|::)",
    "uri": _ADDRESS,
    "iri": _ADDRESS,
    "uri-reference": _REFERENCE,
    "iri-reference": _REFERENCE,
    "uri-template": rf"(?:{_SIGNS}|/|\{{[a-zA-Z_][a-zA-Z0-9_]{{0,30}}\}})*",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "json-pointer": "(?:/(?:[a-zA-Z0-9_.-]|~[01])*)*",
    "relative-json-pointer": "(?:0|[1-9][0-9]{0,3})(?:#|(?:/(?:[a-zA-Z0-9_.-]|~[01])*)*)",
    "regex": r"\^?(?:[a-zA-Z0-9 _/:,@=-]|\\[.dwsDWS\\*+?^$]|\.(?:[*+])?|\[[a-zA-Z0-9_]+\](?:[*+])?)*\$?",
}

_UNFORMED = "\0 ( \\ {"  # which is of no format at all
_WIDEST = {  # what all that is of a format is like, whoever looks at it; a few more dates and times pass the proof
    "date": _WIDE_DAY,
    "time": _WIDE_TIME,
    "date-time": f"{_WIDE_DAY}[Tt]{_WIDE_TIME}",
    "duration": "P[0-9YMWDTHS]{2,}",
    "email": _WIDE_EMAIL,
    "idn-email": _WIDE_EMAIL,
    "hostname": "[a-zA-Z0-9.-]{1,255}",
    "idn-hostname": "[^ ]+",
    "ipv4": r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}",
    "ipv6": "(?=.*:.*:)[0-9a-fA-F:.]{2,45}",
    "uri": _WIDE_ADDRESS,
    "iri": _WIDE_ADDRESS,
    "uri-reference": "[^ ]*",
    "iri-reference": "[^ ]*",
    "uuid": "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "json-pointer": r"(?:/[\s\S]*)?",
    "relative-json-pointer": r"[0-9]+(?:#|/[\s\S]*)?",
}


def pattern_of(name: str) -> str | None:
    """The pattern of a format; None for one that says nothing."""
    return f"^(?:{FORMATS[name]})$" if name in FORMATS else None


def widest_of(name: str) -> str:
    """A pattern that everything of a format is like."""
    return f"^(?:{_WIDEST[name]})$" if name in _WIDEST else ""


def is_known(name: str, address: str) -> bool:
    """Whether the draft with this address knows a format; else it is a note for people there."""
    return name in FORMATS and not is_formed(_UNFORMED, name, address)


def is_formed(text: str, name: str, address: str) -> bool:
    """Whether a text is of a format, which may be one that its pattern does not admit."""
    from jsonschema_rs import is_valid

    return name not in FORMATS or is_valid({"$schema": address, "format": name}, text, validate_formats=True)
