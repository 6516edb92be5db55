"""The rule for names of styles, subjects and files: which are allowed, and how paths and tables show them."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

NO_LABEL = "(no label)"
"""How reports call the pictures without a style."""
RESERVED = ("all", "none", NO_LABEL)
"""Names that commands and reports give to every style, to the null style and to no style."""
LONGEST = 200
"""Bytes of a file's name. Disks take 255; the rest is for suffixes."""

# Control characters, line separators, marks that turn the direction of a line, and what is no UTF-8.
_UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_NOT_VISIBLE = re.compile(f"[{_UNPRINTABLE}]")
_NOT_IN_FILES = re.compile(rf'[{_UNPRINTABLE}<>:"/\\|?*%]|^[ .]+|[ .]+$')
_MARKDOWN = re.compile(r"[\\|`*<]")


def normal(text: str) -> str:
    """One spelling of a text (Unicode NFC): disks and archives spell `é` as one letter or as two."""
    return unicodedata.normalize("NFC", text)


def is_utf8(name: str) -> bool:
    """Whether a name from the disk is text; Python keeps other bytes as lone surrogates."""
    return not re.search(r"[\ud800-\udfff]", name)


def style_fault(name: str) -> str:
    """Why no command could find a style of this name, as the end of a sentence; empty where one can.

    A comma, `+` and `=` are allowed: an exact name goes before the syntax of lists and blends.
    """
    if name in RESERVED:
        return "has a name that commands give to something else"
    if name != name.strip():
        return "begins or ends with a space"
    if name.startswith("-"):
        return "begins with a dash, as options do"
    if _NOT_VISIBLE.search(name):
        return "has a character that cannot be printed"
    return ""


def visible(text: str) -> str:
    r"""A text in one line that can be printed and encoded: a newline becomes `\n`."""
    return _NOT_VISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


# Paths


def file_name(name: str) -> str:
    """A name as that of a file or folder: no other name gives the same one, and `name_of_file` reads it back.

    What disks refuse is written as in URLs (`a/b` becomes `a%2Fb`), and so are dots and spaces at the ends. A
    very long name ends in its digest, which is not read back.
    """
    text = _NOT_IN_FILES.sub(_percent, normal(name)) or "%"
    if len(text.encode()) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text.encode()[: LONGEST - 17].decode(errors='ignore')}-{digest}"


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogatepass"))


def name_of_file(name: str) -> str:
    """The name that `file_name` wrote."""
    return normal(unquote(name))


def file_path(text: str) -> str:
    """A relative path, each part a `file_name`: no way up, and no hidden file."""
    return "/".join(file_name(part) for part in PurePosixPath(text).parts)


def unique_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The names, numbered where one is there before, or in `taken`, but for upper and lower case."""
    seen, found = {name.casefold() for name in taken}, []
    for name in names:
        free, number = name, 1
        while free.casefold() in seen:
            number += 1
            free = f"{name}-{number}"
        seen.add(free.casefold())
        found.append(free)
    return found


def styles_of_folders(folders: Sequence[str], styles: Sequence[str]) -> tuple[str, ...]:
    """Returns which of `styles` each folder is named after, as `file_name` and `unique_names` name folders.

    `folders` are names as `name_of_file` reads them. A name that belongs to no style is returned as it is.
    """
    by_folder = {name_of_file(file_name(style)): style for style in styles}
    exact = {by_folder[folder] for folder in folders if folder in by_folder}

    def style_of(folder: str) -> str:
        if folder in by_folder:
            return by_folder[folder]
        # `unique_names` numbers a folder if a file, or a name of other case, is in its way.
        numbered = by_folder.get(re.sub(r"-\d+$", "", folder), folder)
        return folder if numbered in exact else numbered

    return tuple(map(style_of, folders))


# Markdown


def markdown_cell(text: str) -> str:
    """A text as a cell of a Markdown table shows it: nothing in it formats, or ends the cell or the row."""
    return _MARKDOWN.sub(r"\\\g<0>", visible(text))


def markdown_code(text: str) -> str:
    """A path as code in a cell of a Markdown table."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if len(fence) > 1 else ""
    return f"{fence}{pad}{visible(text)}{pad}{fence}".replace("|", r"\|")
