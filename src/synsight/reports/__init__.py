"""Records to figures, tables and one self-contained page.

Reads records only: no model, no catalog, no tensor. A number that no record holds is on no page.
"""

from synsight.reports.page import ReportPage, package_versions, render, write_report
from synsight.reports.summary import result_table, verdict
from synsight.reports.sweep_page import SweepPage, choice, failed_models, probes, write_sweep_report
from synsight.reports.tables import fact_table, interval_text, question_table, terminal_table

__all__ = [
    "ReportPage",
    "SweepPage",
    "choice",
    "fact_table",
    "failed_models",
    "interval_text",
    "package_versions",
    "probes",
    "render",
    "result_table",
    "question_table",
    "terminal_table",
    "verdict",
    "write_report",
    "write_sweep_report",
]
