"""The part that runs inside NVIDIA FLARE's own environment: it carries bytes and asks; it decides and computes nothing.

These modules import nothing of Synthema, so that FLARE's environment needs none of its
dependencies. The connector copies them beside the site's kit at every start.
"""
