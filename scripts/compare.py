"""Compare the trained recipes of a dataset: figures out of fold, costs, and what is noise."""

from dogs_vs_cats import console
from dogs_vs_cats.workspace import current_workspace


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--dataset", help="its name (default: that of the last `make data`)")
    workspace = current_workspace(parser.parse_args().dataset)

    from dogs_vs_cats.analysis import compare, freshness
    from dogs_vs_cats.report import frontier
    from dogs_vs_cats.report.index import stage

    behind = freshness.behind(workspace)
    recipes = compare.ranked(compare.trained(workspace), behind)
    compared = compare.rows(recipes)
    csvs = freshness.csvs(workspace, [recipe.name for recipe in recipes])
    for line in compare.lines(workspace, recipes, compared, csvs, behind):
        print(f"compare: {line}")
    for warning in compare.warnings(recipes):
        print(f"warning: {warning}")
    path = frontier.write(workspace, compared)
    if path:
        print(f"compare: {path}: log loss against CPU time a photo, the frontier joined")
    index = stage.artifact().fresh() or stage.build()
    print(f"compare: {stage.PATH}: {index.text()}")


if __name__ == "__main__":
    console.run(main)
