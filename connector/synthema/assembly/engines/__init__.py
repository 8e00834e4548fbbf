"""What carries the rounds of studies: the connectors' own channel on one machine, NVIDIA FLARE between machines."""

from synthema.assembly.engines.hub import HubEngine
from synthema.assembly.engines.site import SiteEngine

__all__ = ["HubEngine", "SiteEngine"]
