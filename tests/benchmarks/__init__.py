"""Benchmarks beside a peer that does the same work; run all with ``python -m tests.benchmarks``.

Each module ``bench_*.py`` has ``run()``, which returns lines of ``name``,
``ours``, ``peer``, ``ratio`` (ours divided by peer), ``goal`` and ``unit``.
Where the unit is a rate (it ends in ``/s``) the ratio must be at least the
goal; where it is a time or a size it must be at most the goal. A ``goal`` of
``None`` is for a figure that is only reported.
"""
