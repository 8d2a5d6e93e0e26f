"""Cells as jobs on engines that people already run; each engine in a folder of its own, which imports it.

In: a source and a pipeline. Out: the engine's own definitions. Making them asks Stripe nothing.
"""
