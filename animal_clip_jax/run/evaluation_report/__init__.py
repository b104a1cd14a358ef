"""The report of an evaluation: one page, `report.html`, beside its tables."""
