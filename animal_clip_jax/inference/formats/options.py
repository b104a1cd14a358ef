"""What may be chosen of the files that are written for other tools."""

import dataclasses

from etils import epath

from animal_clip_jax.errors import quoted

SAMPLING_DESIGNS = (
    *("simpleRandom", "systematicRandom", "clusteredRandom"),
    *("experimental", "targeted", "opportunistic"),
)
CAPTURE_METHODS = ("activityDetection", "timeLapse")


@dataclasses.dataclass(frozen=True)
class FormatOptions:
    """What may be chosen.

    Attributes:
        threshold: from this probability on, an action counts as seen in a video without windows,
            where each action has a probability of its own; None takes the thresholds of a
            calibrated model, or 0.5.
        top_k: how many actions are named for a video without windows, where a format has room.
        time_bin: of the time budget, in seconds; 0 takes each video as one bin.
        binary_step: between two rows of the behaviours binary table, in seconds.
        deployments: for Camtrap DP, the CSV of where and when the videos were recorded.
        scientific_names: for Camtrap DP, a CSV `animal,scientificName`; without it that column
            stays empty, and the animal's label is a tag.
        project_title, sampling_design, capture_method: for Camtrap DP, which asks for them.
        media_url: what Label Studio finds the videos under: the name of a video is put behind it.
    """

    threshold: float | None = None
    top_k: int = 5
    time_bin: float = 0.0
    binary_step: float = 0.1
    deployments: epath.Path | None = None
    scientific_names: epath.Path | None = None
    project_title: str = ""
    sampling_design: str = "opportunistic"
    capture_method: str = "activityDetection"
    media_url: str = "/data/local-files/?d="

    def problems(self) -> list[str]:
        """What is wrong with them by themselves, a line each."""
        found = []
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            found.append(f"the threshold is {self.threshold}; expected 0 to 1")
        if self.top_k < 1:
            found.append(f"top_k is {self.top_k}; expected 1 or more")
        if not 0 <= self.time_bin < float("inf"):
            found.append(f"the time bin is {self.time_bin} s; expected more than 0, or 0 for none")
        if not 0.001 <= self.binary_step < float("inf"):
            found.append(f"the binary step is {self.binary_step} s; expected 0.001 s or more")
        for what, value, known in (
            ("sampling design", self.sampling_design, SAMPLING_DESIGNS),
            ("capture method", self.capture_method, CAPTURE_METHODS),
        ):
            if value not in known:
                found.append(f"the {what} is {quoted(value)}; Camtrap DP knows {', '.join(known)}")
        return found
