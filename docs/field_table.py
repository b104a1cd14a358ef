"""Writes the tables of all fields into the page on the configuration, as the site is built."""

from animal_clip_jax.run.fields import GROUPS

_PAGE, _PLACE = "reference/configuration.md", "<!-- the fields -->"


def on_page_markdown(markdown: str, *, page, **_) -> str:
    """MkDocs calls it for every page."""
    return markdown.replace(_PLACE, tables()) if page.file.src_uri == _PAGE else markdown


def tables() -> str:
    """A table for each group of fields, in Markdown."""
    parts = []
    for group in GROUPS:
        prefix = f"{group.name}." if group.name else ""
        parts += [f"## {group.name}"] if group.name else []
        parts += [_escaped(group.meaning)] if group.meaning else []
        rows = [
            f"| `{prefix}{field.name}` | `{field.default!r}` | {_escaped(field.meaning)} | "
            f"{_escaped(field.accepts.expected)} |"
            for field in group.fields
        ]
        parts.append(
            "\n".join(
                ["| field | default | meaning | may be |", "| --- | --- | --- | --- |", *rows]
            )
        )
    return "\n\n".join(parts)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("~", "\\~")
