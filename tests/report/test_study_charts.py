"""Pictures of studies: every run has its colour, and what is said below is what is drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from osteon.report.charts import Curve, PointGroup, draw_agreement, draw_joint_curves

BLUE, ORANGE = (178, 114, 0), (0, 94, 213)


def pixels_of(path: Path, colour: tuple[int, int, int]) -> int:
    """Pixels of a colour (blue, green, red), nearly."""
    shown = cv2.imread(str(path))
    assert shown is not None
    return int((np.abs(shown.astype(int) - colour) < 12).all(axis=2).sum())


def test_curves_of_all_runs_share_one_panel(tmp_path: Path) -> None:
    one = [Curve("one decoder", (0.2, 0.5, 0.7), 3), Curve("one decoder", (0.1, 0.4), 2)]
    two = [Curve("two decoders", (0.3, 0.4, 0.5), 3)]
    picture = draw_joint_curves(tmp_path / "pair.png", [*one, *two], measure="F1", mark="SYNTHETIC")
    assert picture.title == "Validation F1 by epoch"
    assert "as far as all of them went" in picture.caption
    both = [pixels_of(picture.path, colour) for colour in (BLUE, ORANGE)]
    assert min(both) > 200
    alone = draw_joint_curves(tmp_path / "alone.png", one, measure="F1")
    assert pixels_of(alone.path, ORANGE) == 0


def test_points_lie_where_their_numbers_say(tmp_path: Path) -> None:
    true = np.array([10.0, 100.0, 1000.0])
    groups = [PointGroup("kept", true, true), PointGroup("twice", true, np.array([0.0, 200.0, 2000.0]))]
    picture = draw_agreement(tmp_path / "volumes.png", "Volumes", "ml", groups)
    shown = cv2.imread(str(picture.path))
    assert shown is not None
    blue = (np.abs(shown.astype(int) - BLUE) < 12).all(axis=2)[:, :620]
    rows, columns = np.nonzero(blue)
    # on the diagonal of the square, which is 520 pixels wide and begins at (100, 66)
    assert np.abs((columns - 100) - (66 + 520 - rows)).max() <= 10
    orange = (np.abs(shown.astype(int) - ORANGE) < 12).all(axis=2)[:, :620]
    assert np.nonzero(orange)[0].max() > 66 + 520 - 8  # nothing predicted is shown at the lower edge
