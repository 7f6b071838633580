"""Which checkpoints of the file are in force after backups were put back."""

import pytest

from service.domain.checkpoint_lines import Known
from service.domain.checkpoints import Checkpoint, Restored


def checkpoint(number: int, to_number: int | None = None) -> Checkpoint:
    restored = Restored(number - 1, 0, to_number, "The disk died.", "ada") if to_number is not None else None
    return Checkpoint("", number, 0, b"", "", "", "", {}, {}, restored)


@pytest.mark.requirement("D-02")
@pytest.mark.parametrize(
    ("restores", "in_force"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({5: 2}, [1, 2, 5, 6, 7]),
        ({5: 2, 7: 4}, [1, 2, 3, 4, 7]),  # the first backup was the wrong one
        ({5: 2, 7: 1}, [1, 7]),
        ({5: 2, 7: 5}, [1, 2, 5, 7]),
    ],
)
def test_a_restore_that_was_itself_taken_back_leaves_nothing_out(restores: dict[int, int], in_force: list[int]) -> None:
    checkpoints = [checkpoint(number, restores.get(number)) for number in range(1, 8)]
    known = Known(restored=[each for each in checkpoints if each.restored])
    assert [each.number for each in checkpoints if known.counts(each)] == in_force
