"""What several tests of this folder start from."""

from __future__ import annotations

import pytest

from tests.systems.limb_sarcoma.toy_limbs import Limbs, toy_limbs


@pytest.fixture(scope="session")
def limbs() -> Limbs:
    """Six scans."""
    return toy_limbs()
