"""Every package that is installed for this one is pinned, and pinned files are known by their hashes."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?: \\)?")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def lines_of(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins_of(lines: list[str]) -> dict[str, str]:
    found = [PIN.fullmatch(line) for line in lines]
    assert all(found), [line for line, pin in zip(lines, found, strict=True) if pin is None]
    return {canonicalize_name(pin["name"]): pin["version"] for pin in found if pin is not None}


def needed(
    name: str, extras: frozenset[str], known: set[tuple[str, frozenset[str]]]
) -> Iterator[Requirement]:
    """What a package that is installed here asks for, and what that asks for, and so on."""
    if (name, extras) in known:
        return
    known.add((name, extras))
    try:
        lines = requires(name) or []
    except PackageNotFoundError:  # not for this platform
        return
    for line in lines:
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield one
            yield from needed(canonicalize_name(one.name), frozenset(one.extras), known)


def test_every_dependency_is_pinned_to_a_version_that_those_who_need_it_accept():
    pins = pins_of(lines_of("constraints.txt"))
    asked = list(needed("synsight", frozenset({"dev"}), set()))
    assert len({canonicalize_name(one.name) for one in asked}) > 100
    for one in asked:
        name = canonicalize_name(one.name)
        if name == "synsight":
            continue
        assert name in pins, f"{one} is not pinned"
        assert one.specifier.contains(Version(pins[name]), prereleases=True), f"{one}, pinned {pins[name]}"


def test_the_lock_has_the_pinned_versions_each_with_its_hashes_and_nothing_else():
    lines = lines_of("requirements.lock")
    hashes = [line for line in lines if HASH.fullmatch(line)]
    pins = [line for line in lines if not line.startswith(" ")]
    assert len(hashes) + len(pins) == len(lines)  # no index, no address, no option
    assert pins_of(pins) == pins_of(lines_of("constraints.txt"))
    after = [lines[number + 1] for number, line in enumerate(lines) if not line.startswith(" ")]
    assert all(HASH.fullmatch(line) for line in after)


@pytest.mark.parametrize(
    "line", ["torch>=2.6", "--index-url https://example.org", "torch @ file:///torch.whl"]
)
def test_a_line_that_pins_nothing_would_be_found(line: str):
    with pytest.raises(AssertionError):
        pins_of(["numpy==2.0", line])
