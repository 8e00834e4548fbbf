"""``Synthema-Compute``: the data plane whose flows are governed runs. Start with :class:`ComputePlane`."""

from synthema.assembly.computing.order import ComputeOrder, read_order
from synthema.assembly.computing.plane import ComputePlane

__all__ = ["ComputeOrder", "ComputePlane", "read_order"]
