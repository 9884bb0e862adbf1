"""Every version that the handbook uses is supported, and will be for a while.

It runs each time: days pass while no file changes.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from handbook import versions
from handbook.catalog import Catalog
from handbook.findings import HandbookError


def test_what_the_handbook_uses_is_supported() -> None:
    try:
        found = versions.findings(Catalog(), datetime.now(UTC).date())
    except HandbookError as error:
        pytest.fail(str(error), pytrace=False)
    assert not found, "\n" + "\n".join(map(str, found))
