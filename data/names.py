"""Names of styles, subjects and files: which are allowed, and how paths and tables show them."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote

NO_LABEL = "(no label)"
"""Name of the images without a style in reports."""
RESERVED = ("all", "none", NO_LABEL)
"""Names with another meaning in commands and reports: every style, the null style, no style."""

# Control characters, line separators, marks of writing direction, and bytes that are no UTF-8.
_UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_NOT_VISIBLE = re.compile(f"[{_UNPRINTABLE}]")
_NOT_IN_FILES = re.compile(rf'[{_UNPRINTABLE}<>:"/\\|?*%]|^[ .]+|[ .]+$')
_MARKDOWN = re.compile(r"[\\|`*<]")


def normal(text: str) -> str:
    """Returns a text in Unicode NFC. Disks and archives spell `é` as one code point or as two."""
    return unicodedata.normalize("NFC", text)


def is_utf8(name: str) -> bool:
    """Returns whether a name from the disk is UTF-8. Python keeps other bytes as lone surrogates."""
    return not re.search(r"[\ud800-\udfff]", name)


def is_selectable(name: str) -> bool:
    """Returns whether commands can select a style of this name.

    A comma, `+` and `=` are allowed: commands try exact names before lists and blends.
    """
    odd = name != name.strip() or name.startswith("-") or _NOT_VISIBLE.search(name)
    return name not in RESERVED and not odd


def visible(text: str) -> str:
    r"""Returns a text that can be printed and encoded, in one line: a newline becomes `\n`."""
    return _NOT_VISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


# Paths
def file_name(name: str) -> str:
    """Returns a unique file name for a name; `name_of_file` is its inverse.

    Escapes as in URLs what disks refuse (`a/b` becomes `a%2Fb`), and dots and spaces at the ends.
    """

    def percent(found: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogatepass"))

    return _NOT_IN_FILES.sub(percent, normal(name)) or "%"


def name_of_file(name: str) -> str:
    """Returns the name that `file_name` escaped."""
    return normal(unquote(name))


def file_path(text: str) -> str:
    """Returns a relative path of `file_name` parts, which leads neither up nor to a hidden file."""
    return "/".join(file_name(part) for part in PurePosixPath(text).parts)


def unique_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Returns the names, numbered where they repeat an earlier one or one of `taken`, whatever the case."""
    used, unique = {name.casefold() for name in taken}, []
    for name in names:
        free, number = name, 1
        while free.casefold() in used:
            number += 1
            free = f"{name}-{number}"
        used.add(free.casefold())
        unique.append(free)
    return unique


# Markdown
def markdown_cell(text: str) -> str:
    """Escapes a text for a cell of a Markdown table."""
    return _MARKDOWN.sub(r"\\\g<0>", visible(text))
