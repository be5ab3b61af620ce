"""The signs of JSON and of what is written in their place: tables and patterns for reading notation.

Each pattern is bounded or consumes what it looks at, so that reading takes linear time.
"""

from __future__ import annotations

import re
from typing import Final

CLOSERS: Final = {"{": "}", "[": "]", "(": ")"}
QUOTES: Final = {
    '"': '"', "'": "'", "`": "`", "\u201c": '\u201d\u201c"', "\u201d": '\u201d"', "\u2018": "\u2019\u2018'",
    "\u2019": "\u2019'", "\u00ab": "\u00bb", "\u201e": '\u201c\u201d"', "\uff02": "\uff02",
}  # fmt: skip
ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
FULL_WIDTH: Final = {
    "\uff5b": "{",
    "\uff5d": "}",
    "\uff3b": "[",
    "\uff3d": "]",
    "\uff1a": ":",
    "\uff0c": ",",
    "\u3001": ",",
}

WHITE = re.compile(r"\s*")
PLAIN_KEY = re.compile(
    r"""(?:"([^"\\\x00-\x1f]*)"|'([^'"\\\x00-\x1f]*)'|([A-Za-z_]\w*))[ \t\n\r]*:[ \t\n\r]*(?![:\s/])"""
)
# A plain value with what must follow it, so that a quote within a text is not taken for its end.
PLAIN_VALUE = (
    r"""(?:"([^"\\\x00-\x1f]*)"|'([^'\\\x00-\x1f]*)'|(-?(?:0|[1-9]\d*)(?:\.\d+)?|true|false|null))"""
    r"[ \t\n\r]*"
)
KEY_AHEAD = r"""(?:"[^"\\\n]{0,80}"|'[^'\\\n]{0,80}'|[A-Za-z_$][\w$-]{0,60})[ \t\n\r]*:"""
PLAIN_IN_OBJECT = re.compile(PLAIN_VALUE + r"(?:,[ \t\n\r]*(?=\}|" + KEY_AHEAD + r")|(?=\}))")
PLAIN_IN_LIST = re.compile(PLAIN_VALUE + r"""(?:,[ \t\n\r]*(?=["{\[\]\-0-9]|true|false|null)|(?=\]))""")
STRING_RUN = {quote: re.compile(rf"[^{re.escape(ends)}\\\x00-\x1f]*") for quote, ends in QUOTES.items()}

# Keys: with their colon, and with one slip each that a known name makes up for.
COLON_AHEAD = r"\s{0,20}(?::(?!//)|=(?!=)|\uff1a)"
QUOTED_KEY = re.compile(
    r"""(?:"{1,2}[^"\n]{0,100}"{1,2}|'[^'\n]{0,100}'|`[^`\n]{0,100}`|\u201c[^\u201d\n]{0,100}\u201d"""
    r"""|\u00ab[^\u00bb\n]{0,100}\u00bb|\u2018[^\u2019\n]{0,100}\u2019|\uff02[^\uff02\n]{0,100}\uff02)"""
    + COLON_AHEAD
)
BARE_KEY = re.compile(
    r"""([A-Za-z_$\u00c0-\uffff][^\n"'{}\[\],:=]{0,60}?|-?\d+(?:\.\d+)?)\s{0,20}(?::(?!//)|=>|\uff1a)"""
)
FIRST_KEY = re.compile(r"""([^\s"'`{}\[\],:=][^\n"{}\[\],:=]{0,100}?)\s{0,20}(?=:|=|\uff1a)""")
QUOTED_NAME = re.compile(r"""["']([^"'\n]{1,60})["']\s{0,20}:""")
LOST_END = re.compile(r"""["']([^"':\n]{1,60}?)\s{0,20}:""")
LOST_START = re.compile(r"""([A-Za-z_]\w{0,60})["']\s{0,20}:""")
NO_COLON = re.compile(r"""["']([^"'\n]{1,60})["']\s{0,20}(?=[{\["'\d-]|true|false|null)""")
ASSIGNED = re.compile(r"([A-Za-z_]\w{0,60})\s{0,20}=(?!=)")
COLONS = re.compile(r"[:\uff1a]+")

ORDINARY: Final = frozenset("\"'{}[],:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
LITERALS: Final = frozenset({"true", "false", "null"})
PYTHON_LITERALS: Final = frozenset({"True", "False", "None", "undefined", "nil", "NULL", "TRUE", "FALSE"})
NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
TOKEN = re.compile(rf"(?:{NUMBER.pattern}|true|false|null|True|False|None)(?![\w.])")
VALUE_START = re.compile(r"\s*(?:-?\d|true|false|null|True|False|None)")
ITEM_START = re.compile(
    r"""["'`{\[(\u201c\u2018\u00ab\uff02\uff5b\uff3b\-\d]|(?:true|false|null|True|False|None)\b"""
)
QUOTED_ITEM = re.compile(r"""(?:(["'])[^"'\n]{0,200}\1|\u201c[^\u201d\n]{0,200}\u201d)\s*[,\]"'\u201c]""")
SET_TOKEN = re.compile(r"(?:-?\d[\d.]*|true|false|True|False)(?=\s*[,}])")
BARE_END = re.compile(r"[,;\n}\])\uff0c\u3001\uff5d\uff3d]|//|/\*|(?<=\s)#\s")
COMMAS = re.compile(r"[,;\uff0c\u3001\s]+")

AGAIN = re.compile(r"[\"'](?=\s*:)")
CLOSING_FIRST = re.compile(r'[^"]*[^\s"(\[{\d=:,-]"\s*[,:}\]]')
INCHES = re.compile(r'\d"(?=\s+\w)')
FENCE_TAG = re.compile(r"[\w+-]*[ \t]*\n")
DOUBLED = re.compile(r'""([^"\\\n]+)""(?=\s*[:,}\]])')
PREFIX = re.compile(r"([rRuU])(?=[\"'](?!\s*[,:}\]]))")
JOIN = re.compile(r"""\s*\+\s*(?=["'])""")
CALL = re.compile(r"[A-Za-z_]\w{0,60}\((?=\s*(?:[A-Za-z_]\w{0,60}\s*=|\)))")
HEX = re.compile(r"[0-9a-fA-F]{4}")
CODE_POINT = re.compile(r"\{([0-9a-fA-F]{1,6})\}")
