"""Benchmarks: each module runs by itself (`make bench BENCH=<module>`), boots a stack, measures, and keeps a section.

They stand here and not in the engine since they ask a stack as the tests do, with their client and their load. What one
has measured it gives to `handbook.measured.keep`, which writes `snippets/measured/<stack>.json`.
"""
