"""Chains of verbs: the guided pilot with its three gates, and the pages that verbs write."""

from synsight.workflow.pages import write_run_page
from synsight.workflow.pilot import PilotSummary, pilot

__all__ = ["PilotSummary", "pilot", "write_run_page"]
