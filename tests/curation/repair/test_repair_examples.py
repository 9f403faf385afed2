"""Which changes a summary and a page show: some of every kind, from all over the catalog."""

from synsight.curation.repair.examples import Examples
from synsight.records import RepairExample


def change(number: int, origin: str, removed: tuple[str, ...] = ()) -> RepairExample:
    return RepairExample(id=str(number), before="a", after="b", origin=origin, removed=list(removed))


def test_rare_kinds_are_all_shown_and_frequent_ones_share_the_rest():
    examples = Examples(50)
    for number in range(10_000):
        if number in (17, 4_000, 9_990):
            examples.add(change(number, "near-image"))
        elif number % 2:
            examples.add(change(number, "cleaned", ("spelling",)))
        else:
            examples.add(change(number, "cleaned", ("url", "spelling")))
    chosen = examples.chosen()
    numbers = [int(one.id) for one in chosen]
    assert examples.seen == 10_000
    assert len(chosen) == 50
    assert numbers == sorted(numbers)
    assert [one.id for one in chosen if one.origin == "near-image"] == ["17", "4000", "9990"]
    assert sum(one.removed == ["spelling"] for one in chosen) in (23, 24)
    quarters = [
        sum(2_500 * place <= number < 2_500 * (place + 1) for number in numbers) for place in range(4)
    ]
    assert min(quarters) >= 8


def test_few_changes_are_all_shown():
    examples = Examples(50)
    for number in range(7):
        examples.add(change(number, "cleaned"))
    assert [one.id for one in examples.chosen()] == list("0123456")
    assert Examples(50).chosen() == []
