"""The FLARE engine: rounds between machines over NVIDIA FLARE 2.9, which runs in an environment of its own."""

from synthema.federation.flare.engine import FlareEngine, FlareSite
from synthema.federation.flare.enrolment import Authority, EnrolmentRequest, fingerprint, flare_name
from synthema.federation.flare.environment import FlareEnvironment
from synthema.federation.flare.sessions import FlareHub
from synthema.federation.flare.site import FlareChannel, SiteGate

__all__ = [
    "Authority",
    "EnrolmentRequest",
    "FlareChannel",
    "FlareEngine",
    "FlareEnvironment",
    "FlareHub",
    "FlareSite",
    "SiteGate",
    "fingerprint",
    "flare_name",
]
