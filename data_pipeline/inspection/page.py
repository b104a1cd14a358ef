"""What was found out, as one page that needs nothing else: no network, no script, no font.

The page is built as a tree of elements, so that names and paths, which are texts of others, are
escaped wherever they stand.
"""

import os
from collections import Counter
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from animal_clip_jax.errors import shortened
from data_pipeline.inspection import charts
from data_pipeline.inspection.contact_sheet import ShownClip, thumbnail
from data_pipeline.inspection.examination import (
    Examination,
    action_pairs,
    performed_pairs,
    share_of_pairs,
)
from data_pipeline.inspection.finding import Finding
from data_pipeline.inspection.label_checks import KINDS, label_counts
from data_pipeline.inspection.lengths import common_sizes
from data_pipeline.inspection.page_elements import (
    add,
    add_figure,
    add_matrix,
    add_scroll,
    add_table,
    as_html,
    colour,
    data_url,
)
from data_pipeline.inspection.page_style import POLICY, STYLE
from data_pipeline.inspection.report import headline, verdict
from data_pipeline.long_tail import SEGMENTS

# Of a finding; the JSON has all.
MOST_ROWS = 100
# Of a matrix: more would be too small to read and too large to scroll.
MOST_ACTIONS, MOST_ANIMALS = 150, 100


def page(found: Examination, clips: Sequence[ShownClip] = ()) -> str:
    """A whole HTML document.

    Args:
        found: what was found out.
        clips: that are shown with frames of them.
    """
    root = Element("html", lang="en")
    head = add(root, "head")
    add(head, "meta", charset="utf-8")
    # Should anything get in that loads something or runs, the browser refuses it.
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": POLICY})
    add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    add(head, "title", f"{found.subject.dataset}: what is in it")
    add(head, "style", STYLE)
    body = add(add(root, "body"), "main")
    add(body, "h1", f"What is in {os.path.basename(found.subject.source.rstrip('/'))}")
    add(body, "p", headline(found))
    add(body, "p", found.subject.source, cls="path")
    add(body, "p", f"{verdict(found)}.", cls="bad" if found.problems else "good")
    _contents(body)
    _findings(body, found)
    _labels(body, found)
    _lengths(body, found)
    _together(body, found)
    _who_does_what(body, found)
    _clips(body, clips)
    return f"<!doctype html>\n{as_html(root)}\n"


_SECTIONS = {
    "findings": "Findings",
    "actions": "Actions",
    "animals": "Animals",
    "lengths": "Lengths and sizes",
    "together": "Actions together",
    "who": "Who does what",
    "clips": "Clips",
}


def _contents(body: Element) -> None:
    menu = add(body, "nav")
    for name, title in _SECTIONS.items():
        add(menu, "a", title, href=f"#{name}")


def _section(body: Element, name: str) -> Element:
    section = add(body, "section", id=name)
    add(section, "h2", _SECTIONS[name])
    return section


def _findings(body: Element, found: Examination) -> None:
    section = _section(body, "findings")
    if not found.findings:
        add(section, "p", "Nothing was found that one should know.")
    for finding in found.findings:
        _finding(section, finding)


def _finding(section: Element, finding: Finding) -> None:
    word = "problem" if finding.is_problem else "to know"
    if not finding.rows:
        line = add(section, "p", cls="finding")
        add(line, "span", word, cls=word.replace(" ", "-"))
        add(line, "span", finding.summary)
        return
    details = add(section, "details", cls="finding")
    if finding.is_problem:
        details.set("open", "")
    summary = add(details, "summary")
    add(summary, "span", word, cls=word.replace(" ", "-"))
    add(summary, "span", finding.summary)
    header = list(finding.rows[0])
    rows = [[shortened(row[key]) for key in row] for row in finding.rows[:MOST_ROWS]]
    add_table(details, header, rows)
    if len(finding.rows) > MOST_ROWS:
        rest = len(finding.rows) - MOST_ROWS
        add(details, "p", f"and {rest:,} more; the file written with --json has all", cls="small")


def _labels(body: Element, found: Examination) -> None:
    annotations, splits = found.subject.annotations, found.subject.splits
    for kind in KINDS:
        section = _section(body, f"{kind}s")
        names = annotations.action_names if kind == "action" else annotations.animal_names
        if not names:
            add(section, "p", "There are none.")
            continue
        counts = label_counts(annotations.clips, kind)
        if kind == "action":
            of_segment = Counter(found.segments)
            add(
                section,
                "p",
                f"Long tail ({found.segments_source}): "
                + ", ".join(f"{segment} {of_segment[segment]}" for segment in SEGMENTS),
            )
        by_split = [[counts[split, name] for name in names] for split in splits]
        alternative = f"Clips of each of {len(names)} {kind}s by rank; the table below has them."
        add_figure(section, charts.ranks(by_split, splits, f"{kind}s"), alternative)
        _bars(section, kind, names, splits, counts, found.segments if kind == "action" else ())


def _bars(
    section: Element,
    kind: str,
    names: Sequence[str],
    splits: Sequence[str],
    counts: Counter[tuple[str, str]],
    segments: Sequence[str],
) -> None:
    """A table of all classes, the most frequent first, with a bar in the colours of the splits."""
    legend = add(section, "p", cls="small")
    for number, split in enumerate(splits):
        add(legend, "span", split, cls="key", style=f"border-color:{colour(number)}")
    totals = {name: sum(counts[split, name] for split in splits) for name in names}
    most = max(max(totals.values()), 1)
    of_name = dict(zip(names, segments, strict=True)) if segments else {}
    scroll = add_scroll(section, f"clips of each {kind}")
    table = add(scroll, "table", cls="bars")
    header = add(add(table, "thead"), "tr")
    add(header, "th", kind, scope="col")
    if of_name:
        add(header, "th", "segment", scope="col", cls="segment")
    for split in splits:
        add(header, "th", split, scope="col", cls="number")
    add(header, "th", "clips", scope="col", cls="bar")
    rows = add(table, "tbody")
    for name in sorted(names, key=lambda name: -totals[name]):
        row = add(rows, "tr")
        add(row, "th", name, scope="row")
        if of_name:
            add(row, "td", of_name[name], cls="segment")
        for split in splits:
            add(row, "td", f"{counts[split, name]:,}", cls="number")
        bar = add(add(row, "td", cls="bar"), "div")
        for number, split in enumerate(splits):
            share = 100 * counts[split, name] / most
            if share:
                add(bar, "i", style=f"width:{share:.2f}%;background:{colour(number)}")


def _lengths(body: Element, found: Examination) -> None:
    section = _section(body, "lengths")
    if not found.num_videos:
        add(section, "p", "No video was found.")
        return
    add(section, "p", f"{found.num_looked_at:,} of {found.num_videos:,} videos were looked at.")
    seconds = [length.seconds for length in found.lengths if length.seconds is not None]
    frames = [length.num_frames for length in found.lengths if length.num_frames]
    charted = add(section, "div", cls="charts")
    for values, label in ((seconds, "seconds"), (frames, "frames")):
        if values:
            middle = float(np.median(values))
            alternative = (
                f"Histogram of the {label} of {len(values)} clips: from {min(values):.4g} to "
                f"{max(values):.4g}, median {middle:.4g}."
            )
            drawn = charts.distribution(values, f"{label} of a clip")
            add_figure(charted, drawn, alternative, caption=alternative)
    sizes = common_sizes(found.lengths).most_common(20)
    if sizes:
        add_table(section, ["size in pixels", "clips"], [[size, f"{n:,}"] for size, n in sizes])


def _together(body: Element, found: Examination) -> None:
    section = _section(body, "together")
    clips = found.subject.annotations.clips
    pairs = action_pairs(clips)
    if not pairs:
        add(section, "p", "No clip has more than one action.")
        return
    totals = Counter(name for clip in clips for name in clip.actions)
    names = [name for name, _ in totals.most_common(MOST_ACTIONS)]
    places = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for (first, second), n in pairs.items():
        if first in places and second in places:
            counts[places[first], places[second]] = counts[places[second], places[first]] = n
    add(
        section,
        "p",
        _limited("actions", len(names), len(totals)) + " The darker, the more clips show both.",
    )
    add_matrix(section, charts.matrix(counts, names, names), "actions and actions")
    add_table(
        section,
        ["two actions", "clips"],
        [[" + ".join(pair), f"{n:,}"] for pair, n in pairs.most_common(20)],
    )


def _who_does_what(body: Element, found: Examination) -> None:
    section = _section(body, "who")
    there, possible = share_of_pairs(found.subject)
    clips = found.subject.annotations.clips
    pairs = performed_pairs(clips)
    if not pairs:
        add(section, "p", "No clip has an animal.")
        return
    add(
        section,
        "p",
        f"Training has {there:,} of {possible:,} possible pairs of animal and action.",
    )
    of_animal = Counter[str]()
    of_action = Counter[str]()
    for (animal, action), n in pairs.items():
        of_animal[animal] += n
        of_action[action] += n
    animals = [name for name, _ in of_animal.most_common(MOST_ANIMALS)]
    actions = [name for name, _ in of_action.most_common(MOST_ACTIONS)]
    rows = {name: place for place, name in enumerate(animals)}
    columns = {name: place for place, name in enumerate(actions)}
    counts = np.zeros((len(animals), len(actions)), np.int64)
    for (animal, action), n in pairs.items():
        if animal in rows and action in columns:
            counts[rows[animal], columns[action]] = n
    limits = (
        _limited("animals", len(animals), len(of_animal)),
        _limited("actions", len(actions), len(of_action)),
    )
    add(section, "p", " ".join(limits) + " The darker, the more clips, of all splits.")
    add_matrix(section, charts.matrix(counts, animals, actions), "animals and actions")
    add_table(
        section,
        ["animal", "action", "clips"],
        [[animal, action, f"{n:,}"] for (animal, action), n in pairs.most_common(20)],
    )


def _limited(what: str, shown: int, there: int) -> str:
    if shown == there:
        return f"All {there:,} {what}."
    return f"The {shown} most frequent of {there:,} {what}; --json writes all."


def _clips(body: Element, clips: Sequence[ShownClip]) -> None:
    section = _section(body, "clips")
    if not clips:
        add(section, "p", "None is shown: no video was found, or --clips=0 was given.")
        return
    sheet = add(section, "div", cls="sheet")
    for clip in clips:
        figure = add(sheet, "figure")
        frames = add(figure, "div", cls="frames")
        for number, frame in enumerate(clip.frames, start=1):
            what = f"frame {number} of {len(clip.frames)} of {clip.clip_id}"
            add(frames, "img", src=data_url("image/jpeg", thumbnail(frame)), alt=what)
        caption = add(figure, "figcaption")
        add(caption, "b", ", ".join(clip.actions))
        add(caption, "span", ", ".join(clip.animals) or "no animal")
        add(caption, "span", f"{clip.clip_id} ({clip.split})", cls="path")
