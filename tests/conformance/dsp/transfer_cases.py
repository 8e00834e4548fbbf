"""The kit's cases of transfers: TP (the target provides) and TP_C (the target consumes)."""

from __future__ import annotations

from tests.conformance.dsp.register import tp, tp_c
from tests.conformance.dsp.talks import ConsumerTransfer, ProviderTransfer

# --- the target provides


@tp("01-01")
def started_then_the_provider_terminates(talk: ConsumerTransfer) -> None:
    with talk.expecting("start"):
        talk.request()
    talk.await_("termination")
    talk.is_in("TERMINATED")


@tp("01-02")
def started_then_the_provider_completes(talk: ConsumerTransfer) -> None:
    with talk.expecting("start"):
        talk.request()
    talk.await_("completion")
    talk.is_in("COMPLETED")


@tp("01-03")
def started_suspended_then_the_provider_terminates(talk: ConsumerTransfer) -> None:
    with talk.expecting("start"):
        talk.request()
    talk.await_("suspension")
    talk.await_("termination")
    talk.is_in("TERMINATED")


@tp("01-04")
def started_suspended_started_then_the_provider_completes(talk: ConsumerTransfer) -> None:
    with talk.expecting("start"):
        talk.request()
    talk.await_("suspension")
    talk.await_("start")
    talk.await_("completion")
    talk.is_in("COMPLETED")


@tp("01-05")
def the_provider_terminates_a_requested_transfer(talk: ConsumerTransfer) -> None:
    with talk.expecting("termination"):
        talk.request()
    talk.is_in("TERMINATED")


def _started(talk: ConsumerTransfer) -> None:
    with talk.expecting("start"):
        talk.request()
    talk.is_in("STARTED")


def _suspended(talk: ConsumerTransfer) -> None:
    _started(talk)
    talk.suspend()
    talk.is_in("SUSPENDED")


def _terminated(talk: ConsumerTransfer) -> None:
    _started(talk)
    talk.terminate()
    talk.is_in("TERMINATED")


@tp("02-01")
def started_then_the_consumer_terminates(talk: ConsumerTransfer) -> None:
    _terminated(talk)


@tp("02-02")
def started_then_the_consumer_completes(talk: ConsumerTransfer) -> None:
    _started(talk)
    talk.complete()
    talk.is_in("COMPLETED")


@tp("02-03")
def the_consumer_suspends_and_terminates(talk: ConsumerTransfer) -> None:
    _suspended(talk)
    talk.terminate()
    talk.is_in("TERMINATED")


@tp("02-04")
def the_consumer_suspends_starts_again_and_completes(talk: ConsumerTransfer) -> None:
    _suspended(talk)
    talk.start()
    talk.is_in("STARTED")
    talk.complete()
    talk.is_in("COMPLETED")


@tp("02-05")
def the_consumer_terminates_a_requested_transfer(talk: ConsumerTransfer) -> None:
    talk.request()
    talk.is_in("REQUESTED")
    talk.terminate()
    talk.is_in("TERMINATED")


@tp("03-01")
def a_requested_transfer_is_not_complete(talk: ConsumerTransfer) -> None:
    talk.request()
    talk.complete(refused=True)
    talk.is_in("REQUESTED")


@tp("03-02")
def a_requested_transfer_is_not_suspended(talk: ConsumerTransfer) -> None:
    talk.request()
    talk.suspend(refused=True)
    talk.is_in("REQUESTED")


@tp("03-03")
def a_suspended_transfer_is_not_complete(talk: ConsumerTransfer) -> None:
    _suspended(talk)
    talk.complete(refused=True)
    talk.is_in("SUSPENDED")


@tp("03-04")
def a_terminated_transfer_is_not_started(talk: ConsumerTransfer) -> None:
    _terminated(talk)
    talk.start(refused=True)
    talk.is_in("TERMINATED")


@tp("03-05")
def a_terminated_transfer_is_not_suspended(talk: ConsumerTransfer) -> None:
    _terminated(talk)
    talk.suspend(refused=True)
    talk.is_in("TERMINATED")


@tp("03-06")
def a_terminated_transfer_is_not_complete(talk: ConsumerTransfer) -> None:
    _terminated(talk)
    talk.complete(refused=True)
    talk.is_in("TERMINATED")


# --- the target consumes


def _begun(talk: ProviderTransfer) -> None:
    talk.initiate()
    talk.is_in("REQUESTED")
    talk.start()
    talk.is_in("STARTED")


def _ended(talk: ProviderTransfer) -> None:
    _begun(talk)
    talk.terminate()
    talk.is_in("TERMINATED")


def _paused(talk: ProviderTransfer) -> None:
    _begun(talk)
    talk.suspend()
    talk.is_in("SUSPENDED")


@tp_c("01-01")
def it_is_started_and_terminated(talk: ProviderTransfer) -> None:
    _ended(talk)


@tp_c("01-02")
def it_is_started_and_completed(talk: ProviderTransfer) -> None:
    _begun(talk)
    talk.complete()
    talk.is_in("COMPLETED")


@tp_c("01-03")
def it_is_suspended_and_terminated(talk: ProviderTransfer) -> None:
    _paused(talk)
    talk.terminate()
    talk.is_in("TERMINATED")


@tp_c("01-04")
def it_is_suspended_started_again_and_completed(talk: ProviderTransfer) -> None:
    _paused(talk)
    talk.start()
    talk.is_in("STARTED")
    talk.complete()
    talk.is_in("COMPLETED")


@tp_c("01-05")
def it_is_terminated_when_requested(talk: ProviderTransfer) -> None:
    talk.initiate()
    talk.terminate()
    talk.is_in("TERMINATED")


@tp_c("02-01")
def it_terminates_a_started_transfer(talk: ProviderTransfer) -> None:
    talk.initiate()
    with talk.expecting("termination"):
        talk.start()
    talk.is_in("TERMINATED")


@tp_c("02-02")
def it_completes_a_started_transfer(talk: ProviderTransfer) -> None:
    talk.initiate()
    with talk.expecting("completion"):
        talk.start()
    talk.is_in("COMPLETED")


@tp_c("02-03")
def it_suspends_and_terminates(talk: ProviderTransfer) -> None:
    talk.initiate()
    with talk.expecting("suspension"):
        talk.start()
    talk.await_("termination")
    talk.is_in("TERMINATED")


@tp_c("02-04")
def it_suspends_starts_again_and_completes(talk: ProviderTransfer) -> None:
    talk.initiate()
    with talk.expecting("suspension"):
        talk.start()
    talk.await_("start")
    talk.await_("completion")
    talk.is_in("COMPLETED")


@tp_c("02-05")
def it_terminates_a_requested_transfer(talk: ProviderTransfer) -> None:
    talk.initiate()
    talk.await_("termination")
    talk.is_in("TERMINATED")


@tp_c("03-01")
def nothing_is_complete_when_requested(talk: ProviderTransfer) -> None:
    talk.initiate()
    talk.complete(refused=True)
    talk.is_in("REQUESTED")


@tp_c("03-02")
def nothing_is_suspended_when_requested(talk: ProviderTransfer) -> None:
    talk.initiate()
    talk.suspend(refused=True)
    talk.is_in("REQUESTED")


@tp_c("03-03")
def nothing_is_complete_when_suspended(talk: ProviderTransfer) -> None:
    _paused(talk)
    talk.complete(refused=True)
    talk.is_in("SUSPENDED")


@tp_c("03-04")
def nothing_starts_after_termination(talk: ProviderTransfer) -> None:
    _ended(talk)
    talk.start(refused=True)
    talk.is_in("TERMINATED")


@tp_c("03-05")
def nothing_is_suspended_after_termination(talk: ProviderTransfer) -> None:
    _ended(talk)
    talk.suspend(refused=True)
    talk.is_in("TERMINATED")


@tp_c("03-06")
def nothing_is_complete_after_termination(talk: ProviderTransfer) -> None:
    _ended(talk)
    talk.complete(refused=True)
    talk.is_in("TERMINATED")
