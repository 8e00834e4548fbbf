"""Federated studies: rounds of secure sums between a coordinator and sites. Raw rows never pass through here."""

from synthema.federation.accounting import exact_epsilon
from synthema.federation.coordinator import Coordinator
from synthema.federation.engine import EmbeddedEngine, FederationEngine, LoopbackChannel, Passage, require_loopback
from synthema.federation.form import StudyFile, load_study
from synthema.federation.granted import check_plan
from synthema.federation.live import Closing
from synthema.federation.messages import Message, Parcel
from synthema.federation.model import (
    CarriedBy,
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
from synthema.federation.participant import Participant
from synthema.federation.ports import ActivityLog, Channel, DidResolver, Signer, SiteSession
from synthema.federation.privacy import NoiseShare, noise_share
from synthema.federation.records import StudyRecords
from synthema.federation.taking_up import kept_vector

__all__ = [
    "ActivityLog",
    "CarriedBy",
    "Channel",
    "Closing",
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
    "Passage",
    "PlanMember",
    "PluginUse",
    "RoundRecord",
    "Signer",
    "SiteLimits",
    "SiteSession",
    "StudyFile",
    "StudyPlan",
    "StudyRecords",
    "StudyResult",
    "StudyState",
    "check_plan",
    "exact_epsilon",
    "kept_vector",
    "load_study",
    "noise_share",
    "require_loopback",
]
