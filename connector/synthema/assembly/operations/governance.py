"""Operations of data protection officers and their colleagues: people, plugins, policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, hexadecimal, operation
from synthema.policy import PolicyVersion, analyse, explain_policy, parse_policy, to_odrl
from synthema.policy import signing_bytes as policy_signing_bytes
from synthema.spi import approval_bytes, describe
from synthema.spi import find as find_plugin

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

# people --------------------------------------------------------------------------------


class RegisterPerson(Input):
    """A role account: roles and the public key its holder signs with. No name is kept."""

    roles: list[str] = Field(min_length=1)
    public_key: str = Field(description="Ed25519 public key, 32 bytes, hexadecimal")


@operation("people/register")
def register_person(connector: Connector, given: RegisterPerson) -> dict[str, Any]:
    """Make a role account for the holder of a key."""
    person = connector.people.register(given.roles, hexadecimal(given.public_key, "public_key"))
    return {"person": person.id, "roles": list(person.roles)}


@operation("people/list")
def list_people(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The role accounts that may sign."""
    return [{"person": person.id, "roles": list(person.roles)} for person in connector.people.all()]


# plugins -------------------------------------------------------------------------------


class OnePlugin(Input):
    """A plugin by name."""

    name: str


@operation("plugin/list")
def list_plugins(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The installed plugins: what each does in sentences, and whether it may run."""
    return [
        {
            "name": item.name,
            "standing": item.standing,
            "version": item.version,
            "digest": item.digest,
            "sentences": list(item.sentences),
            "problem": item.problem,
        }
        for item in connector.plugins.listing()
    ]


@operation("plugin/signing")
def plugin_signing(connector: Connector, given: OnePlugin) -> dict[str, Any]:
    """What two people sign to approve the present files of a plugin."""
    plugin = find_plugin(given.name)
    return {
        "name": plugin.name,
        "digest": plugin.digest,
        "sentences": describe(plugin.manifest),
        "sign": approval_bytes(plugin.name, plugin.digest).hex(),
    }


class Approval(Input):
    """One person's signature, hexadecimal."""

    person: str
    signature: str


class ApprovePlugin(Input):
    """A plugin's digest with the signatures of two people, one of them a data protection officer."""

    name: str
    digest: str
    approvals: list[Approval]


@operation("plugin/approve")
def approve_plugin(connector: Connector, given: ApprovePlugin) -> dict[str, Any]:
    """Let a plugin run, as long as its files stay exactly these."""
    approvals = [(each.person, hexadecimal(each.signature, "signature")) for each in given.approvals]
    return {"approval": connector.plugins.approve(given.name, given.digest, approvals)}


class RevokePlugin(Input):
    """Who revokes a plugin, and why."""

    name: str
    person: str
    reason: str = Field(min_length=3)


@operation("plugin/revoke")
def revoke_plugin(connector: Connector, given: RevokePlugin) -> dict[str, Any]:
    """Stop a plugin from running."""
    connector.plugins.revoke(given.name, given.person, given.reason)
    return {"name": given.name, "standing": "revoked"}


# policies --------------------------------------------------------------------------------


class DraftPolicy(Input):
    """A policy in the data protection officer's form, with its own cases (request → expected decision)."""

    text: str
    file: str = "policy.yaml"
    cases: str = ""


@operation("policy/draft")
def draft_policy(connector: Connector, given: DraftPolicy) -> dict[str, Any]:
    """Keep a policy for signature: what it says in sentences, and what stands in its way."""
    version = connector.policies.draft(given.text, given.file, cases=given.cases)
    review = connector.policies.review(version.policy.id, version.policy.version)
    return _policy_json(version) | {
        "findings": [{"severity": f.severity, "key": f.key, "sentence": f.sentence} for f in review.findings],
        "cases": [{"passed": c.passed, "sentence": c.sentence} for c in review.cases],
        "obstacles": list(review.obstacles()),
        "changes": [] if review.comparison is None else review.comparison.sentences(),
        "sentences": list(explain_policy(version.policy, connector.vocabulary)),
    }


class CheckPolicy(Input):
    """A policy in the data protection officer's form, to be understood and not kept."""

    text: str
    file: str = "policy.yaml"


@operation("policy/check")
def check_policy(connector: Connector, given: CheckPolicy) -> dict[str, Any]:
    """Say in sentences what a policy text means and what a linter finds in it; nothing is kept."""
    read = parse_policy(given.text, connector.vocabulary, file=given.file, base=connector.settings.public_url)
    policy, beside = connector.policies.beside(read)
    findings = analyse(policy, connector.vocabulary, beside, standing=connector.policies.standing)
    return {
        "policy": policy.id,
        "version": policy.version,
        "title": policy.title,
        "layer": str(policy.layer),
        "sentences": list(explain_policy(policy, connector.vocabulary)),
        "findings": [{"severity": f.severity, "key": f.key, "sentence": f.sentence, "fix": f.fix} for f in findings],
    }


class SignPolicy(Input):
    """One person's signature under a policy version; ``acknowledge`` names findings seen and accepted."""

    policy: str
    version: str
    person: str
    signature: str
    acknowledge: list[str] = Field(default_factory=list)


@operation("policy/sign")
def sign_policy(connector: Connector, given: SignPolicy) -> dict[str, Any]:
    """Sign a policy; the second signature puts it in force."""
    signature = hexadecimal(given.signature, "signature")
    version = connector.policies.sign(
        given.policy, given.version, given.person, signature, acknowledge=given.acknowledge
    )
    return _policy_json(version)


class OnePolicy(Input):
    """A version of a policy."""

    policy: str
    version: str


class ShownPolicy(OnePolicy):
    """A version of a policy; one that belongs to an agreement is found with it only."""

    agreement: str = ""


@operation("policy/show")
def show_policy(connector: Connector, given: ShownPolicy) -> dict[str, Any]:
    """A policy version in sentences and as ODRL."""
    version = connector.policies.version(given.policy, given.version, agreement=given.agreement)
    return _policy_json(version) | {
        "sentences": list(explain_policy(version.policy, connector.vocabulary)),
        "odrl": to_odrl(version.policy),
    }


@operation("policy/withdraw")
def withdraw_policy(connector: Connector, given: OnePolicy) -> dict[str, Any]:
    """Take a policy out of force: what it permitted is denied from now on."""
    return _policy_json(connector.policies.withdraw(given.policy, given.version))


@operation("policy/list")
def list_policies(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """All policy versions with their states, newest first."""
    return [_policy_json(version) for version in connector.policies.versions()]


def _policy_json(version: PolicyVersion) -> dict[str, Any]:
    policy = version.policy
    return {
        "policy": policy.id,
        "version": policy.version,
        "title": policy.title,
        "layer": str(policy.layer),
        "agreement": version.agreement,
        "state": str(version.state),
        "digest": version.digest,
        "signedBy": list(version.signed_by),
        "sign": policy_signing_bytes(policy.id, policy.version, version.digest).hex(),
    }
