"""Step `report`: the page and the pictures that go into a release."""

from build_engines.report.report import Report, read_report, report

__all__ = ["Report", "read_report", "report"]
