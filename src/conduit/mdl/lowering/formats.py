"""Formats of strings as patterns: what the standard and pydantic take, in the spellings that a model should use.

``format`` itself is never sent: engines read it more narrowly than validators do (a date-time without an offset, a
duration with fractions or a sign), know few formats, and some let an unknown one pass. Not covered on purpose are
spellings of a value that has a usual one: Unix times in strings for a date-time, ``A B <a@b.c>`` for an address.
"""

from __future__ import annotations

_DAY = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-9])))"
)
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9](?::(?:[0-5][0-9]|60)(?:[.,][0-9]{1,9})?)?"
_OFFSET = "(?:[zZ]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?"
_N = "[0-9]+(?:[.,][0-9]+)?"
_ISO_DURATION = f"P(?:{_N}Y)?(?:{_N}M)?(?:{_N}W)?(?:{_N}D)?(?:T(?:{_N}H)?(?:{_N}M)?(?:{_N}S)?)?"
_CLOCK_DURATION = "(?:[0-9]+ ?(?:d|day|days),? ?)?[0-9]{1,2}:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_IPV6 = rf"[0-9a-fA-F:]{{2,39}}(?::{_IPV4})?(?:%[0-9A-Za-z_.-]+)?"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"


def _uuid(version: str) -> str:
    groups = (
        "[0-9a-fA-F]{8}",
        "[0-9a-fA-F]{4}",
        f"{version}[0-9a-fA-F]{{3}}",
        "[0-9a-fA-F]{4}",
        "[0-9a-fA-F]{12}",
    )
    dashed, packed = "-".join(groups), "".join(groups)
    return rf"(?:(?:urn:uuid:)?{dashed}|\{{{dashed}\}}|{packed})"


_PATTERNS: dict[str, str] = {
    "date-time": f"{_DAY}[Tt _]{_CLOCK}{_OFFSET}",
    "date": _DAY,
    "time": f"{_CLOCK}{_OFFSET}",
    "duration": f"[+-]?(?:{_ISO_DURATION}|{_CLOCK_DURATION}|[0-9]+ ?(?:d|day|days))",
    "uuid": _uuid("[0-9a-fA-F]"),
    **{f"uuid{version}": _uuid(str(version)) for version in (1, 3, 4, 5, 6, 7, 8)},
    "uri": r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s]*",
    "iri": r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s]*",
    "multi-host-uri": r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s]*",
    "email": r"""(?:[^\s@"<>]+|"[^"]*")@[^\s@"<>]+""",
    "idn-email": r"""(?:[^\s@"<>]+|"[^"]*")@[^\s@"<>]+""",
    "hostname": rf"{_LABEL}(?:\.{_LABEL})*\.?",
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "ipvanyaddress": f"(?:{_IPV4}|{_IPV6})",
    "ipv4network": f"{_IPV4}(?:/[0-9.]{{1,15}})?",
    "ipv4interface": f"{_IPV4}(?:/[0-9.]{{1,15}})?",
    "ipv6network": f"{_IPV6}(?:/[0-9]{{1,3}})?",
    "ipv6interface": f"{_IPV6}(?:/[0-9]{{1,3}})?",
    "ipvanynetwork": f"(?:{_IPV4}|{_IPV6})(?:/[0-9.]{{1,15}})?",
    "ipvanyinterface": f"(?:{_IPV4}|{_IPV6})(?:/[0-9.]{{1,15}})?",
}


def pattern_of(format_: str) -> str | None:
    """The pattern of a format, or ``None`` where only validation can tell."""
    found = _PATTERNS.get(format_)
    return None if found is None else f"^(?:{found})$"
