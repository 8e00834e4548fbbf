"""The kit's cases of contract negotiation: CN (the target provides) and CN_C (the target consumes)."""

from __future__ import annotations

from tests.conformance.dsp.register import cn, cn_c
from tests.conformance.dsp.talks import ConsumerNegotiation, ProviderNegotiation

# --- the target provides


@cn("01-01")
def offered_then_the_consumer_terminates(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    talk.terminate()
    talk.is_in("TERMINATED")


@cn("01-02")
def offered_countered_then_the_provider_terminates(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    with talk.expecting("termination"):
        talk.counter()
    talk.is_in("TERMINATED")


@cn("01-03")
def offered_accepted_agreed_verified_finalised(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    with talk.expecting("agreement"):
        talk.accept()
    with talk.expecting("events"):
        talk.verify()
    talk.is_in("FINALIZED")


@cn("01-04")
def agreed_verified_finalised(talk: ConsumerNegotiation) -> None:
    with talk.expecting("agreement"):
        talk.request()
    with talk.expecting("events"):
        talk.verify()
    talk.is_in("FINALIZED")


@cn("02-01")
def the_provider_terminates_when_requested(talk: ConsumerNegotiation) -> None:
    with talk.expecting("termination"):
        talk.request()
    talk.is_in("TERMINATED")


@cn("02-02")
def the_consumer_terminates_when_requested(talk: ConsumerNegotiation) -> None:
    talk.request()
    talk.is_in("REQUESTED")
    talk.terminate()
    talk.is_in("TERMINATED")


@cn("02-03")
def the_consumer_terminates_when_agreed(talk: ConsumerNegotiation) -> None:
    with talk.expecting("agreement"):
        talk.request()
    talk.terminate()
    talk.is_in("TERMINATED")


@cn("02-04")
def the_consumer_terminates_when_offered(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    talk.terminate()
    talk.is_in("TERMINATED")


@cn("02-05")
def the_provider_terminates_when_offered(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    talk.await_("termination")
    talk.is_in("TERMINATED")


@cn("02-06")
def the_provider_terminates_when_accepted(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    with talk.expecting("termination"):
        talk.accept()
    talk.is_in("TERMINATED")


@cn("02-07")
def the_provider_terminates_when_verified(talk: ConsumerNegotiation) -> None:
    with talk.expecting("agreement"):
        talk.request()
    with talk.expecting("termination"):
        talk.verify()
    talk.is_in("TERMINATED")


@cn("03-01")
def no_termination_after_the_end(talk: ConsumerNegotiation) -> None:
    agreed_verified_finalised(talk)
    talk.terminate(refused=True)
    talk.is_in("FINALIZED")


@cn("03-02")
def no_verification_when_offered(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    talk.verify(refused=True)
    talk.is_in("OFFERED")


@cn("03-03")
def no_verification_when_accepted(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    talk.accept()
    talk.verify(refused=True)
    talk.is_in("ACCEPTED")


@cn("03-04")
def no_second_counter_offer(talk: ConsumerNegotiation) -> None:
    with talk.expecting("offers"):
        talk.request()
    talk.counter()
    talk.counter(refused=True)
    talk.is_in("REQUESTED")


# --- the target consumes


@cn_c("01-01")
def it_accepts_verifies_and_is_finalised(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("events"):
        talk.make_offer()
    with talk.expecting("agreement/verification"):
        talk.agree()
    talk.finalise()
    talk.is_in("FINALIZED")


@cn_c("01-02")
def it_counters_then_the_provider_terminates(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("request"):
        talk.make_offer()
    talk.is_in("REQUESTED")
    talk.terminate()
    talk.is_in("TERMINATED")


@cn_c("01-03")
def it_terminates_when_offered(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("termination"):
        talk.make_offer()
    talk.is_in("TERMINATED")


@cn_c("01-04")
def it_verifies_an_agreement_without_an_offer(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("agreement/verification"):
        talk.agree()
    talk.finalise()
    talk.is_in("FINALIZED")


@cn_c("02-01")
def terminated_by_the_provider_when_requested(talk: ProviderNegotiation) -> None:
    talk.initiate()
    talk.terminate()
    talk.is_in("TERMINATED")


@cn_c("02-02")
def it_terminates_when_requested(talk: ProviderNegotiation) -> None:
    talk.initiate()
    talk.await_("termination")
    talk.is_in("TERMINATED")


@cn_c("02-03")
def it_terminates_when_agreed(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("termination"):
        talk.agree()
    talk.is_in("TERMINATED")


@cn_c("02-04")
def terminated_by_the_provider_when_offered(talk: ProviderNegotiation) -> None:
    talk.initiate()
    talk.make_offer()
    talk.terminate()
    talk.is_in("TERMINATED")


@cn_c("02-05")
def terminated_by_the_provider_when_accepted(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("events"):
        talk.make_offer()
    talk.terminate()
    talk.is_in("TERMINATED")


@cn_c("02-06")
def terminated_by_the_provider_when_verified(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("agreement/verification"):
        talk.agree()
    talk.terminate()
    talk.is_in("TERMINATED")


@cn_c("03-01")
def nothing_is_final_when_requested(talk: ProviderNegotiation) -> None:
    talk.initiate()
    talk.finalise(refused=True)
    talk.is_in("REQUESTED")


@cn_c("03-02")
def nothing_is_agreed_when_offered(talk: ProviderNegotiation) -> None:
    talk.initiate()
    talk.make_offer()
    talk.agree(refused=True)
    talk.is_in("OFFERED")


@cn_c("03-03")
def nothing_is_final_when_offered(talk: ProviderNegotiation) -> None:
    talk.initiate()
    talk.make_offer()
    talk.finalise(refused=True)
    talk.is_in("OFFERED")


@cn_c("03-04")
def nothing_is_final_when_accepted(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("events"):
        talk.make_offer()
    talk.finalise(refused=True)
    talk.is_in("ACCEPTED")


@cn_c("03-05")
def no_other_offer_when_accepted(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("events"):
        talk.make_offer()
    talk.make_offer(refused=True)
    talk.is_in("ACCEPTED")


@cn_c("03-06")
def nothing_is_final_before_it_is_verified(talk: ProviderNegotiation) -> None:
    talk.initiate()
    with talk.expecting("events"):
        talk.make_offer()
    talk.agree()
    talk.finalise(refused=True)
    talk.is_in("AGREED")
