"""The pages that verbs write: records gathered, then handed to the report."""

from pathlib import Path

from synsight.data.lineage import now
from synsight.records import RunSummary
from synsight.reports import ReportPage, package_versions, write_report

RECIPE_NAMES = {
    "simclr": "SimCLR (images only)",
    "simsiam": "SimSiam (images only)",
    "clip": "CLIP (images and captions)",
    "siglip": "SigLIP (images and captions)",
    "lgsimclr": "LGSimCLR (captions choose pairs)",
    "lgsimsiam": "LG-SimSiam (captions choose pairs)",
    "lgslip": "LG-SLIP (captions choose pairs)",
    "xclr": "X-CLR (captions weigh pairs)",
    "catlip": "CatLIP (captions)",
    "superclass": "SuperClass (caption words)",
    "superclip": "SuperCLIP (captions and their words)",
    "supervised": "supervised (all labels)",
}
"""Recipe -> what its model is called for readers."""


def write_run_page(summary: RunSummary) -> Path:
    """Write RUN/report.html: all readings of the monitor on one axis, the peak, and why the run ended."""
    page = ReportPage(
        title=f"{RECIPE_NAMES.get(summary.recipe, summary.recipe or 'run')}: {summary.name}",
        runs=[summary],
        command=f"synsight pretrain --config {Path(summary.run) / 'config.yaml'} --out NEW_RUN",
        created_at=now(),
        packages=package_versions(),
    )
    return write_report(Path(summary.run) / "report.html", page)
