"""Lists of tars as WebDataset writes them: brace ranges, and `::` between."""

import re

from synsight.errors import DataError

MOST_SHARDS = 100_000

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def shards(place: str) -> list[str] | None:
    """The tars that a text names: "a-{008..010}.tar::b.tar" is four; None: it is no such list.

    Raises:
        DataError: A range runs backwards, or names more tars than can be meant.
    """
    parts = place.split("::")
    if not all(part.endswith(".tar") for part in parts) or (len(parts) == 1 and not _RANGE.search(place)):
        return None
    found = [name for part in parts for name in _expanded(part)]
    if len(found) > MOST_SHARDS:
        raise _too_many(place)
    return found


def _expanded(part: str) -> list[str]:
    names = [part]
    while match := _RANGE.search(names[0]):
        low, high = match.groups()
        if int(high) < int(low):
            raise DataError(
                f"{part}: expected a range that rises, found {match[0]}; write the lower end first."
            )
        count = int(high) - int(low) + 1
        if count * len(names) > MOST_SHARDS:
            raise _too_many(part)
        numbers = [str(number).zfill(len(low)) for number in range(int(low), int(high) + 1)]
        names = [_RANGE.sub(number, name, count=1) for name in names for number in numbers]
    return names


def _too_many(place: str) -> DataError:
    return DataError(f"{place}: expected at most {MOST_SHARDS:,} tars, found more; check the range.")
