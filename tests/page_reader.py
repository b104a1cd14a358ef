"""Reads pages as a browser does, without what it forgives."""

import base64
import hashlib
from html.parser import HTMLParser

VOID = frozenset(("meta", "img", "br", "hr", "input", "link"))


class Reader(HTMLParser):
    """Collects elements and text, and checks that what is opened is closed.

    Attributes:
        elements: (tag, attributes) in their order.
        words: the texts outside of styles and scripts.
        scripts: the texts of scripts.
    """

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside == "script":
            self.scripts.append(data)
        elif inside not in ("", "style"):
            self.words.append(data)

    def of_class(self, name: str) -> list[dict]:
        """The attributes of the elements of a class."""
        return [at for _, at in self.elements if name in at.get("class", "").split()]

    @property
    def policy(self) -> dict[str, str]:
        """What the page may do: directive -> its sources."""
        (content,) = [
            at["content"]
            for _, at in self.elements
            if at.get("http-equiv") == "Content-Security-Policy"
        ]
        return dict(rule.strip().partition(" ")[::2] for rule in content.split(";"))

    def check_is_inert(self) -> None:
        """Nothing is loaded but what is in the page, and nothing runs but what its policy names."""
        for tag, attributes in self.elements:
            assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
            for name, value in attributes.items():
                assert not name.startswith("on"), (tag, name)
                if name in ("src", "href") and value is not None:
                    assert not value.startswith(("http:", "https:", "//", "javascript:")), value
        assert self.policy["default-src"] == "'none'"
        digests = [
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in self.scripts
        ]
        assert self.policy.get("script-src", "").split() == digests
