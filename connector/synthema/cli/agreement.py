"""``synthema offer browse`` and ``synthema agreement``: what partners offer, and what was agreed with them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from synthema.cli.client import call, call_served
from synthema.cli.options import HERE, HomeOption
from synthema.cli.output import Format, FormatOption, answer, say, show_table, working

app = typer.Typer(help="Agreements with partners: negotiate, look up, end.")

PartnerArgument = Annotated[str, typer.Argument(help="The partner's name, address or did.", metavar="PARTNER")]
AgreementArgument = Annotated[str, typer.Argument(help="Identifier of the agreement.", metavar="AGREEMENT")]


def add_to(offer: typer.Typer) -> None:
    """Put ``browse`` among the commands on offers."""
    offer.command("browse")(browse)


def browse(partner: PartnerArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Look at what a partner offers this connector: datasets, formats, and the terms in plain sentences.

    Example: synthema offer browse "Hospital A" --home hub
    """
    with working("Asking the partner for its catalogue …"):
        found = call(home, "offer/browse", {"partner": partner})
    answer(found, output, _show_offers)


def _show_offers(datasets: list[dict[str, Any]]) -> None:
    if not datasets:
        say("The partner offers this connector nothing. What it shows depends on who asks.")
    for dataset in datasets:
        say("", dataset["title"] or dataset["dataset"], f"  {dataset['dataset']}")
        say(f"  Formats: {', '.join(dataset['formats'])}")
        for offer in dataset["offers"]:
            say(f"  Offer {offer['offer']}:", *(f"    {sentence}" for sentence in offer["sentences"]))
    if datasets:
        say("", 'To agree to an offer: synthema agreement negotiate PARTNER "DATASET"')


@app.command("negotiate")
def negotiate(
    partner: PartnerArgument,
    dataset: Annotated[str, typer.Argument(help="Dataset, as 'offer browse' shows it.", metavar="DATASET")],
    *,
    offer: Annotated[
        str | None, typer.Option("--offer", help="Which offer, where there are several.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="How long to wait for the partner.")] = 60.0,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """Come to an agreement with a partner on its offer, word for word; exits 3 when the partner refuses.

    Example: synthema agreement negotiate "Hospital A" https://a.example/id/dataset/mgus --home hub
    """
    value = {"partner": partner, "dataset": dataset, "offer": offer, "seconds": seconds}
    with working("Negotiating …"):
        agreed = call_served(home, "agreement/negotiate", value)
    answer(
        agreed,
        output,
        lambda made: say(
            f"Agreed: {made['agreement']}",
            f"It is about {made['dataset']}{_until(made)}.",
            f"Next: synthema transfer fetch {made['agreement']} -o FILE, or",
            f"      synthema transfer compute {made['agreement']} STUDY.yaml",
        ),
    )


@app.command("list")
def list_agreements(home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """List the agreements with partners, the newest first, and whether they are in force.

    Example: synthema agreement list --home hub
    """

    def show(found: list[dict[str, Any]]) -> None:
        rows = ((a["agreement"], a["role"], a["partner"], a["dataset"], a["ended"] or "in force") for a in found)
        show_table(
            ("Agreement", "We are", "Partner", "Dataset", "State"),
            rows,
            empty="There is no agreement yet: synthema agreement negotiate",
        )

    answer(call(home, "agreement/list"), output, show)


@app.command("show")
def show_agreement(agreement: AgreementArgument, home: HomeOption = HERE, output: FormatOption = Format.TEXT) -> None:
    """Show an agreement in sentences, and the transfers that rest on it.

    Example: synthema agreement show https://a.example/id/agreement/agreement-… --home hub
    """

    def show(found: dict[str, Any]) -> None:
        say(f"{found['agreement']} with {found['partner']}, {found['ended'] or 'in force'}{_until(found)}.")
        say(f"It is about {found['dataset']}.", *found["sentences"])
        say(*(f"  {t['transfer']}  {t['format']}  {t['state']}" for t in found["transfers"]))

    answer(call(home, "agreement/show", {"agreement": agreement}), output, show)


@app.command("end")
def end(
    agreement: AgreementArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; the log keeps it and the partner's side hears of it.")],
    *,
    person: Annotated[
        str | None, typer.Option("--person", help="Your role account, e.g. person-…", show_default=False)
    ] = None,
    home: HomeOption = HERE,
    output: FormatOption = Format.TEXT,
) -> None:
    """End an agreement from now on: its policy goes out of force, its transfers and computations end at once.

    Example: synthema agreement end https://a.example/id/agreement/agreement-… --reason "breach of section 4"

    What was handed over before stays with the partner, under the duties the agreement names (synthema obligation list).
    """
    value = {"agreement": agreement, "reason": reason, "person": person}
    answer(
        call(home, "agreement/end", value),
        output,
        lambda found: say(f"Ended: {found['ended']}.", "Nothing flows under it any more."),
    )


def _until(agreement: dict[str, Any]) -> str:
    return f", until {agreement['until'][:10]}" if agreement["until"] else ""
