"""Chains of verbs: the guided pilot with its three gates, sweeps, and the pages that verbs write."""

from synsight.workflow.compare import CompareSummary, compare
from synsight.workflow.pages import write_run_page
from synsight.workflow.pilot import PilotSummary, pilot
from synsight.workflow.sweep import SweepSummary, sweep

__all__ = [
    "CompareSummary",
    "PilotSummary",
    "SweepSummary",
    "compare",
    "pilot",
    "sweep",
    "write_run_page",
]
