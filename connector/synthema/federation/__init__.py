"""Federated studies: rounds of secure sums between a coordinator and sites. Raw rows never pass through here."""

from synthema.federation.coordinator import Coordinator, kept_vector
from synthema.federation.engine import EmbeddedEngine, FederationEngine, LoopbackChannel, require_loopback
from synthema.federation.form import StudyFile, load_study
from synthema.federation.messages import Message, Parcel
from synthema.federation.model import (
    Contributed,
    Outcome,
    ParticipationState,
    PlanMember,
    PluginUse,
    RoundRecord,
    SiteLimits,
    StudyPlan,
    StudyResult,
    StudyState,
)
from synthema.federation.participant import Participant, check_plan
from synthema.federation.ports import ActivityLog, Channel, DidResolver, Signer, SiteSession
from synthema.federation.privacy import NoiseShare, noise_share

__all__ = [
    "ActivityLog",
    "Channel",
    "Contributed",
    "Coordinator",
    "DidResolver",
    "EmbeddedEngine",
    "FederationEngine",
    "LoopbackChannel",
    "Message",
    "NoiseShare",
    "Outcome",
    "Parcel",
    "Participant",
    "ParticipationState",
    "PlanMember",
    "PluginUse",
    "RoundRecord",
    "Signer",
    "SiteLimits",
    "SiteSession",
    "StudyFile",
    "StudyPlan",
    "StudyResult",
    "StudyState",
    "check_plan",
    "kept_vector",
    "load_study",
    "noise_share",
    "require_loopback",
]
