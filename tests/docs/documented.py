"""The fenced blocks of README.md and docs/*.md, in the order in which a reader meets them.

A block that cannot be run here has a comment before it, which pages do not show:

    <!-- not run here: needs Slurm -->
"""

import dataclasses
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parent.parent.parent

_FENCE = re.compile(
    r"(?:<!-- not run here: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NAV_PAGE = re.compile(r"^ *- .*?: ([\w-]+\.md)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: its file, relative to the repository.
        line: of the page, where the block's text begins.
        language: after the fence, such as "sh"; "" if there is none.
        text: between the fences.
        reason: why it is not run here; "" if it is.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}, line {self.line}"


def pages() -> list[str]:
    """README.md, then the pages of the site in the order of its menu; the reference is left out."""
    menu = _NAV_PAGE.findall((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return ["README.md", *(f"docs/{name}" for name in menu)]


def blocks(language: str) -> list[Block]:
    """All blocks of a language."""
    found = []
    for page in pages():
        text = (ROOT / page).read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start("text")) + 1
            block = Block(page, line, match["language"], match["text"], match["reason"] or "")
            if block.language == language:
                found.append(block)
    return found


def commands(text: str) -> list[str]:
    """The commands of a block of shell lines, each in one line and without comments."""
    joined = re.sub(r"\\\n\s*", "", text)
    kept = [line.strip() for line in joined.splitlines()]
    return [line for line in kept if line and not line.startswith("#")]


def words(command: str) -> list[str]:
    """The words of a command, without its comment."""
    return shlex.split(command, comments=True)
