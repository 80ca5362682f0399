"""Bring the ledger up to date from Kaggle and print it, best first, with the best one's rank."""

import math

from dogs_vs_cats import console
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions, ledger, session, uploads


def main() -> None:
    parser = console.Parser(description=__doc__)
    parser.add_argument("--competition", help="its name (default: those in the ledger)")
    args = parser.parse_args()
    slugs = sorted({line["competition"] for line in ledger.read()} - {""})
    for slug in [args.competition] if args.competition else slugs or [competitions.REDUX]:
        show(slug)


def show(slug: str) -> None:
    # A rehearsal's server ended with its command; what it said is in the ledger.
    there = slug != competitions.REHEARSAL or uploads.at_rehearsal()
    for sent in session.submissions(slug) if there else []:
        texts = uploads.texts(sent.scores)
        if not ledger.score(str(sent.ref), slug, texts):
            # Sent from elsewhere: Kaggle knows it, so the ledger does.
            when = sent.date.strftime("%Y-%m-%dT%H:%M:%SZ") if sent.date else ""
            line = {"competition": slug, "ref": str(sent.ref), "time": when}
            ledger.put(uploads.identified(sent) | line | texts)
    lower = competitions.facts(slug).lower_is_better
    lines = [x for x in ledger.read() if x["competition"] == slug]
    if not lines:
        raise UserError(f"Expected submissions to {slug}. Received none: run `make submit`.")
    lines.sort(key=lambda x: order(x, lower))
    print(f"scores: {slug}, {'lower' if lower else 'higher'} is better")
    print(f"scores: {'public':>8} {'private':>8} {'oof':>8}  {'recipe':<10} file")
    for x in lines:
        oof = x["oof_log_loss"] if lower else x["oof_accuracy"]
        public = x["public_score"] or x["status"].lower()
        print(
            f"scores: {public:>8} {x['private_score']:>8} {oof:>8}  {x['recipe']:<10} {x['file']}"
        )
    best = lines[0]["private_score"] or lines[0]["public_score"]
    if there and not math.isnan(number(best)):
        rank = session.leaderboard_rank(slug, number(best), lower)
        print(f"scores: the best, {best}, is place {rank.place:,} of {rank.teams:,} on the board")


def order(line: dict[str, str], lower: bool) -> tuple:
    """Sort by private score, else public; what has none, or no number, comes last."""
    value = number(line["private_score"] or line["public_score"])
    return (True, 0) if math.isnan(value) else (False, value if lower else -value)


def number(text: str) -> float:
    """Return the score that a text of the ledger is; nan where it is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


if __name__ == "__main__":
    console.run(main)
