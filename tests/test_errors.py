"""The error tree, and messages that help."""

from __future__ import annotations

import pytest

from osteon import errors
from osteon._optional import MissingPackageError, has_package, require


def test_every_error_is_an_osteon_error() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert all(issubclass(c, errors.OsteonError) for c in classes)
    assert all(c.__name__ in (errors.__doc__ or "") for c in classes)


def test_a_missing_package_says_what_to_install() -> None:
    assert not has_package("not_a_package")
    with pytest.raises(MissingPackageError, match=r"pip install 'osteon\[models\]'"):
        require("not_a_package", extra="models", purpose="to run a classifier")
