"""The command ``synthema``: nouns and verbs over one connector.

Every command imports the rooms it needs when it runs, so that ``--help`` waits for none of them.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from synthema.cli import (
    agreement,
    authority,
    budget,
    catalogue,
    cert,
    cert_registry,
    connector,
    consent,
    credential,
    dataset,
    dpia,
    evaluate,
    key,
    legal,
    lineage,
    log,
    negotiation,
    obligation,
    permit,
    person,
    plugin,
    policy,
    policy_analysis,
    policy_collections,
    policy_duo,
    policy_evaluate,
    policy_steps,
    request,
    review,
    site,
    study,
    transfer,
    withdrawal,
)
from synthema.cli.output import tell_error, tell_fault
from synthema.errors import SynthemaError


class Front(TyperGroup):
    """Where every command ends: errors of ours become sentence, fix and exit status; nobody meets a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command and tell what went wrong, if anything did."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException, BrokenPipeError, EOFError):
            raise
        except SynthemaError as error:
            raise tell_error(ctx, error) from error
        except Exception as fault:  # the outermost edge: what is left is a fault of ours
            raise tell_fault(ctx, fault, debug=bool(ctx.params.get("debug"))) from fault


app = typer.Typer(
    name="synthema",
    cls=Front,
    help="The governed connector for rare blood disease data: policy, provenance, private computation, "
    "certified synthetic data.",
    epilog="Start with: synthema demo. Check a machine with: synthema doctor. "
    "Every command takes --help, and those with results take --format json.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:  # noqa: FBT001 - an option's callback takes its value so
    if value:
        from importlib.metadata import version

        typer.echo(f"synthema {version('synthema')}")
        raise typer.Exit


@app.callback()
def front(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the detail of a fault of synthema itself.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options before the command; :class:`Front` reads ``debug``."""


connector.add_to(app)
evaluate.add_to(app)
catalogue.add_to(dataset.app)
cert_registry.add_to(cert.app)
agreement.add_to(dataset.offer)
policy_analysis.add_to(policy.app)
policy_steps.add_to(policy.app)
policy_duo.add_to(policy.app)
policy_evaluate.add_to(policy.app)
policy.app.add_typer(policy_collections.app, name="collection", rich_help_panel="At a connector", no_args_is_help=True)
_NOUNS = {
    "Your data space": (("site", site.app), ("authority", authority.app), ("credential", credential.app)),
    "Your connector": (
        ("person", person.app),
        ("key", key.app),
        ("plugin", plugin.app),
        ("log", log.app),
        ("lineage", lineage.app),
    ),
    "Rules": (
        ("policy", policy.app),
        ("dpia", dpia.app),
        ("consent", consent.app),
        ("withdrawal", withdrawal.app),
        ("budget", budget.app),
        ("permit", permit.app),
        ("obligation", obligation.app),
        ("legal", legal.app),
    ),
    "Data and work": (
        ("dataset", dataset.app),
        ("offer", dataset.offer),
        ("negotiation", negotiation.app),
        ("agreement", agreement.app),
        ("transfer", transfer.app),
        ("catalogue", catalogue.app),
        ("request", request.app),
        ("artefact", request.artefact),
        ("study", study.app),
        ("review", review.app),
        ("cert", cert.app),
    ),
}
for _panel, _members in _NOUNS.items():
    for _name, _app in _members:
        app.add_typer(_app, name=_name, rich_help_panel=_panel, no_args_is_help=True)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
