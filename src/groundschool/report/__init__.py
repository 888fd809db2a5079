"""The report: one self-contained page, its numbers as JSON, and its figures.

The pipeline fills a :class:`~groundschool.report.facts.ReportData`; :func:`~groundschool.report.build.build` makes the
page and its JSON of it, :func:`~groundschool.report.export.export` writes them. Nothing here computes a statistic.
"""
