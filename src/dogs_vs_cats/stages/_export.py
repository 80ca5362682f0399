"""stages.export: a trained recipe as one ONNX file, from pixels to probabilities."""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, files, progress
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.export import onnx_export
from dogs_vs_cats.export.results import ExportResult as Exported
from dogs_vs_cats.export.results import Parity
from dogs_vs_cats.stages import _chosen, _display, _train


@dataclass(frozen=True)
class ExportResult:
    """An ONNX file. bytes: its size. parity: how near it is to the pipeline."""

    dataset: str
    recipe: str
    file: Path
    bytes: int
    parity: Parity

    def _repr_html_(self) -> str:
        facts = {
            "file": f"{self.file}, {files.size_text(self.bytes)}",
            "within": f"{self.parity.float32:.6f} of the pipeline's probabilities in float32",
            "ONNX Runtime": f"{self.parity.photos_per_second:g} photos a second",
        }
        return _display.card(f"export: {self.dataset}, {self.recipe}", facts)


@cells.stage("export")
def export(
    recipe: _chosen.Path = "fast",
    *,
    dataset: str | None = None,
    engine: str = "keras",
    precision: str = "auto",
    threads: int | None = None,
) -> ExportResult:
    """Write a recipe as one ONNX file, checked against the pipeline (`make export`).

    The recipe is trained first if need be. The options are those of `features`. UserError for a
    recipe that can't be exported.
    """
    onnx_export.require_exportable(recipe_files.read(str(recipe)))
    chosen = _chosen.choose(recipe, dataset, engine, precision, threads)
    _train.ensure(chosen)
    workspace = chosen.workspace
    result, state = onnx_export.artifact(workspace, chosen.recipe).fresh(), ": up to date"
    if result is None:
        result = onnx_export.build(workspace, chosen.recipe, chosen.engine, threads)
        state = f" in {result.seconds:.0f} s"
    _say(result, state)
    return ExportResult(
        workspace.dataset, chosen.recipe.name, Path(result.file), result.size, result.parity
    )


def _say(result: Exported, state: str) -> None:
    """Say what the file is, and how near it is to the pipeline."""
    parity = result.parity
    progress.say(f"export: {result.file}: {files.size_text(result.size)}{state}")
    progress.say(
        f"export: ONNX Runtime on {parity.photos} photos, {parity.photos_per_second:g} a second: "
        f"probabilities within {parity.float32:.6f} of the pipeline's in float32,"
    )
    progress.say(
        f"export: and within {parity.trained:.6f} of those of the heads as trained, on "
        f"{parity.engine}"
    )
