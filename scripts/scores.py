"""Bring the ledger up to date from Kaggle and print it, best first, with the best one's rank."""

import math

from dogs_vs_cats import console
from dogs_vs_cats.kaggle import competitions, ledger, score_intervals, submissions, uploads


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--competition", help="its name (default: those in the ledger)")
    args = parser.parse_args()
    slugs = sorted({line.competition for line in ledger.read()} - {""})
    for slug in [args.competition] if args.competition else slugs or [competitions.REDUX]:
        show(slug)


def show(slug: str) -> None:
    lines = uploads.reconcile(slug)
    lower = competitions.facts(slug).lower_is_better
    print(f"scores: {slug}, {'lower' if lower else 'higher'} is better")
    print(f"scores: {'public':>8} {'private':>8} {'oof':>8}  {'recipe':<10} file")
    for line in lines:
        oof = line.oof_log_loss if lower else line.oof_accuracy
        public = line.public_score or line.status.lower()
        print(
            f"scores: {public:>8} {line.private_score:>8} {oof:>8}  {line.recipe:<10} {line.file}"
        )
        for text in score_intervals.compared(line):
            print(f"scores: {'':>8} {text}")
    best = uploads.final_score(lines[0])
    if uploads.reachable(slug) and not math.isnan(best):
        rank = submissions.leaderboard_rank(slug, best)
        text = lines[0].private_score or lines[0].public_score
        print(f"scores: the best, {text}, is place {rank.place:,} of {rank.teams:,} on the board")


if __name__ == "__main__":
    console.run(main)
