"""``osteon models export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.progress import shown_progress
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.reading import Progress
    from osteon.train.run_data import RunData
    from osteon.weights import ModelCard

__all__ = ["register"]


def register(group: typer.Typer) -> None:
    """Add the verb."""

    @group.command("export")
    def export(
        run: Path = typer.Argument(..., help="Folder of a run (osteon train)."),
        data: Path = typer.Option(..., "--data", help="The data set that the run was trained on: folder or manifest."),
        out: Path = typer.Option(..., "-o", "--out", help="Folder of the model, for osteon read --model."),
        name: str = typer.Option("", help="ARCHITECTURE.TAG; default: the tag is the name of the folder."),
        split: Path | None = typer.Option(None, help="splits.json, when it lies elsewhere."),
        fold: list[int] = typer.Option([], help="Whose network becomes a member; may be repeated. Default: all done."),
        operating_point: str = typer.Option(
            "",
            help="Classifiers: paper (0.95, the default), or fixed on validation: youden, sensitivity or specificity "
            "(at least 0.95) of slices, or legs (extents that match best). Segmenters: f1 (best on validation, the "
            "default) or half (0.5).",
        ),
        threshold: float | None = typer.Option(
            None, help="A threshold on the smoothed probability (of a segmenter: on that of lesions), instead."
        ),
        least_mm3: float | None = typer.Option(
            None, help="Of a segmenter: smaller lesions are not listed, in mm3. Default: the limit of osteon read."
        ),
        trust: bool = typer.Option(True, help="Fit novelty and prediction sets on the validation parts."),
        references: int = typer.Option(2000, help="Training images of a member that novelty is measured against."),
        golden: str = typer.Option(
            "auto", help="images: keep 4 validation images in the model; pattern: made-up ones; auto: by data."
        ),
        version: str = typer.Option("1.0.0", help="Of the weights."),
        statement: str = typer.Option("", help="One line on what it was trained on, shown beside every result."),
        licence: str = typer.Option("", help="SPDX identifier."),
        intended_use: str = typer.Option("", help="One sentence."),
        exclusion: list[str] = typer.Option([], help="What it must not be used for; may be repeated."),
        repeats: int = typer.Option(2000, help="Resamples of the patient bootstrap."),
        seed: int = typer.Option(1, help="Of the bootstrap."),
        device: str = typer.Option("auto", help="auto, cpu or cuda."),
        quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
    ) -> None:
        """Make a model folder of a run: weights, card with what was measured, operating point, limits, CLAIM items."""
        from osteon.metrics.bootstrap import Resampling
        from osteon.metrics.text import Scale
        from osteon.train.card_text import CardWords
        from osteon.train.model_folder import CLAIM_NAME
        from osteon.train.run_data import open_run

        shared: dict[str, Any] = {
            "name": name,
            "words": CardWords(
                version=version,
                statement=statement,
                licence=licence,
                intended_use=intended_use,
                exclusions=tuple(exclusion),
            ),
            "folds": tuple(fold) or None,
            "threshold": threshold,
            "golden": golden,
            "device": device,
            "resampling": Resampling(repeats=repeats, seed=seed),
        }
        with shown_progress(quiet=quiet) as progress:
            found = open_run(run, data, split=split)
            if found.run.settings.objective == "segment":
                more = {"operating_point": operating_point or "f1", "least_mm3": least_mm3}
                card = _export_segmenters(found, out, {**shared, **more}, progress)
            else:
                more = {"operating_point": operating_point or "paper", "trust": trust, "references": references}
                card = _export_classifiers(found, out, {**shared, **more}, progress)
        say(f"{card.name}: {len(card.members)} network(s), {card.statement}")
        scale = Scale(undefined="not defined", lacking="")
        for result in card.results:
            say(f"  {result.metric}: {scale.estimate(result.value, *(result.interval or (None, None)))}")
        items = card.claim_2024.items if card.claim_2024 else ()
        open_items = sum(item.status == "open" for item in items)
        say(f"written to {out}; {open_items} of {len(items)} reporting items in {CLAIM_NAME} are left to a person")


def _export_classifiers(data: RunData, out: Path, options: dict[str, Any], progress: Progress) -> ModelCard:
    from osteon.systems.registry import recipe
    from osteon.train.export import ExportOptions, export_run

    own: Any = recipe(data.run.settings.task)
    return export_run(data, out, own, options=ExportOptions(**options), progress=progress)


def _export_segmenters(data: RunData, out: Path, options: dict[str, Any], progress: Progress) -> ModelCard:
    from osteon.systems.registry import recipe
    from osteon.train.segmentation.export import SegmentExport, export_segmenters

    own: Any = recipe(data.run.settings.task)
    return export_segmenters(data, out, own, options=SegmentExport(**options), progress=progress)
