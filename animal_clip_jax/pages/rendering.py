"""Pages from templates: whatever others wrote is text in them, and nothing is loaded or run."""

import base64
import functools
import hashlib

import jinja2

_SHARED = "animal_clip_jax.pages"


def page(room: str, template: str, *, plays_videos: bool = False, **values: object) -> str:
    """A whole HTML document.

    Args:
        room: the package in whose folder `templates` the template is; the shared ones are there,
            too: `base.html`, which it extends, and the macros of `elements.html`. What stands in
            `templates/*.js` is a script for the variable `script`, which the page may run.
        template: the name of its file.
        plays_videos: whether it may play videos from the disk, or from where it was itself loaded.
        values: of the template's variables. Texts are escaped; one that is not given is an error.
    """
    script = values.get("script", "")
    policy = policy_of(str(script), plays_videos=plays_videos)
    content = {"script": "", **values, "policy": policy}
    return _environment(room).get_template(template).render(content)


def fragment(room: str, template: str, **values: object) -> str:
    """A part of a document, for a page of others such as a notebook; arguments as for `page`."""
    return _environment(room).get_template(template).render(values)


def script_of(room: str, name: str) -> str:
    """The text of a script beside the templates of a room."""
    environment = _environment(room)
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def policy_of(script: str, *, plays_videos: bool) -> str:
    """What a page may do, for a browser. Should anything get in that loads something or runs, the
    browser refuses it.

    Args:
        script: the only one that may run, as it stands between its tags; "" for none.
        plays_videos: as for `page`.
    """
    rules = [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        rules.append(f"script-src 'sha256-{digest}'")
    if plays_videos:
        rules.append("media-src 'self' file:")
    return "; ".join(rules)


def data_url(kind: str, content: bytes) -> str:
    """A file as an address that holds the whole of it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@functools.cache
def _environment(room: str) -> jinja2.Environment:
    loaders = [jinja2.PackageLoader(name) for name in dict.fromkeys((room, _SHARED))]
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
