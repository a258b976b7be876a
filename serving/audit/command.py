"""Check an audit trail, and recompute its plans.

Decided here: a trail that was tampered with, or a plan that comes out otherwise, ends with status 1 and the place.
"""

import argparse
from pathlib import Path

from serving.audit.reading import Summary, replay, verify

EPILOG = """examples:
  shaper audit verify var/audit
  shaper audit verify var/audit --head 1f9c…      also that nothing was cut off its end
  shaper audit replay var/audit                  every plan again, bit for bit"""


def main(argv: list[str]) -> int:
    """Run one of the two; returns 0 when all is as it was written. Raises DataError otherwise."""
    parser = argparse.ArgumentParser(
        "shaper audit", description=__doc__.partition("\n")[0] if __doc__ else None, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", required=True)
    verifying = verbs.add_parser("verify", help="whether every byte is as it was written")
    verifying.add_argument("--head", help="the hash that the last record is to have, as an earlier `verify` printed it")
    replaying = verbs.add_parser("replay", help="whether every plan follows from what it was made of")
    for verb in (verifying, replaying):
        verb.add_argument("folder", type=Path, help="the folder that audit.folder names")
    options = parser.parse_args(argv)
    summary = verify(options.folder, options.head) if options.verb == "verify" else replay(options.folder)
    print(told(options.folder, summary, options.verb))
    return 0


def told(folder: Path, summary: Summary, verb: str) -> str:
    """What was found, in words."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(summary.kinds.items()))
    recomputed = f"; {summary.recomputed} plans recomputed bit for bit" if verb == "replay" else ""
    counted = f"{summary.kinds.total()} records in {summary.files} files are whole ({kinds}){recomputed}"
    return f"{folder}: {counted}; the last is {summary.link.n}, with hash\n{summary.link.hash}"
