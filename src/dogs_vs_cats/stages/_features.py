"""stages.features: run the photos through a recipe's frozen backbone and cache the features."""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, files, progress
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import recipes
from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.features import cache
from dogs_vs_cats.features.cache import CachedFeatures
from dogs_vs_cats.legible import per_second
from dogs_vs_cats.stages import _chosen, _display
from dogs_vs_cats.stages._chosen import Chosen
from dogs_vs_cats.submission import preflight


@dataclass(frozen=True)
class FeaturesResult:
    """The cached features of a recipe, or of the members of a blend.

    views: views of photos that they hold. computed: those of them that were not there before.
    bytes: on the disk.
    """

    dataset: str
    recipe: str
    views: int
    computed: int
    bytes: int

    def _repr_html_(self) -> str:
        facts = {
            "views of photos": f"{self.views:,}",
            "computed now": f"{self.computed:,}",
            "on the disk": files.size_text(self.bytes),
        }
        return _display.card(f"features: {self.dataset}, {self.recipe}", facts)


@cells.stage("features")
def features(
    recipe: _chosen.Path = "fast",
    *,
    dataset: str | None = None,
    engine: str = "keras",
    precision: str = "auto",
    threads: int | None = None,
    batch: int | None = None,
    cluster: str | None = None,
    insecure: bool = False,
) -> FeaturesResult:
    """Run the photos once through the frozen network; cache the features (`make features`).

    recipe: a name in recipes/, the path of a .toml file, or several of them in one text: a blend.
    dataset: default, that of the last `data`. engine: "keras" or "openvino". precision: "auto",
    "float32", "bfloat16" or "int8". threads: of the processor (default: all); Keras keeps those
    that the first stage of a session starts it with. batch: photos a step (default: what suits the
    machine). cluster: "local", "auto" or the host:port of a Ray cluster that computes (insecure: it
    asks for no token).

    UserError for photos that are gone, weights that can't be fetched, and what later stages would
    refuse.
    """
    _chosen.positive("batch", batch)
    _chosen.switches(insecure=insecure)
    _chosen.cluster(cluster)
    chosen = _chosen.choose(recipe, dataset, engine, precision, threads)
    computed = 0
    stores: dict[Path, Artifact[CachedFeatures]] = {}
    for member in recipes.members(chosen.recipe):
        cached = cache.fresh(chosen.workspace, member.features, chosen.engine)
        if cached:
            of = f"{chosen.workspace.dataset}, {member.name}"
            progress.say(f"features: {of}: up to date ({files.size_text(cached.bytes)})")
        else:
            computed += _compute(chosen, member, batch, cluster, insecure)
        made = cache.artifacts(chosen.workspace, member.features, chosen.engine)
        stores |= {store.stamp: store for store in made.values()}  # members may share some
    there = [found for store in stores.values() if (found := store.fresh())]
    assert len(there) == len(stores), "just computed"
    views, size = sum(x.rows for x in there), sum(x.bytes for x in there)
    return FeaturesResult(chosen.workspace.dataset, chosen.recipe.name, views, computed, size)


def ensure(chosen: Chosen, *of: Recipe) -> None:
    """Compute what is missing of the features of recipes; say nothing where nothing is."""
    for recipe in of:
        if cache.fresh(chosen.workspace, recipe.features, chosen.engine) is None:
            _compute(chosen, recipe)


def _compute(
    chosen: Chosen,
    recipe: Recipe,
    batch: int | None = None,
    cluster: str | None = None,
    insecure: bool = False,
) -> int:
    """Compute what is missing of a recipe's features; say how fast; return how many views."""
    workspace, engine = chosen.workspace, chosen.engine
    preflight.require_inputs(workspace)
    preflight.require_photos(workspace)

    from dogs_vs_cats.features import extraction

    run = extraction.Run(batch, chosen.threads, cluster, insecure)
    done = extraction.build(workspace, recipe.features, engine, run)
    computed, times = sum(done.computed.values()), done.times
    if not computed:
        progress.say("features: every one was there already")
        return 0
    progress.say(
        f"features: {computed:,} views in {times.total:.0f} s, "
        f"{per_second(computed / times.total)} a second in {engine.precision} "
        f"(and {times.start:.0f} s to start); the network waited {times.waited:.1f} s"
    )
    return computed
