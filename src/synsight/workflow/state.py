"""What a pilot or a sweep has done so far, in its folder, so that the same command goes on from there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synsight import files
from synsight.errors import ConfigError

FILE = "pilot.json"


class PilotState:
    """Finished steps of a pilot by name, each with its result as plain values.

    Args:
        folder: The pilot's folder.
        settings: What decides the results; the same on every call.
        file: Name of the file in it.
        what: What it is, for messages.

    Raises:
        ConfigError: The folder holds a pilot with other settings.
        DataError: Its file is damaged.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], *, file: str = FILE, what: str = "pilot"
    ) -> None:
        self.path = folder / file
        self.settings = dict(settings)
        self.steps: dict[str, Any] = {}
        if not self.path.exists():
            return
        saved = files.read_json(self.path)
        for name in sorted(saved["settings"].keys() | self.settings.keys()):
            then, now = saved["settings"].get(name), self.settings.get(name)
            if then != now:
                raise ConfigError(
                    f"{folder}: a {what} with {name} = {then!r} was begun here, now it is {now!r}; "
                    "go on with the settings it began with, or choose another folder."
                )
        self.steps = saved["steps"]

    def done(self, name: str) -> bool:
        """Whether a step is finished."""
        return name in self.steps

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """The step's result: from the file when it is finished, else by doing the work and writing it down.

        Args:
            name: Of the step.
            work: Does it; returns plain values (what JSON can hold).
        """
        if name not in self.steps:
            self.steps[name] = work()
            self.save()
        return self.steps[name]

    def save(self) -> None:
        """Write the file."""
        files.write_json(self.path, {"settings": self.settings, "steps": self.steps})
