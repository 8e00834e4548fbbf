"""Settings of one connector: ``connector.toml``, then ``SYNTHEMA_A__B`` variables.

An unknown key is an error, so that a misspelt safety setting is never ignored.
Secrets are files below ``secrets/`` and are named here, never held here.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from synthema.errors import InputError
from synthema.values import Closed

Role = Literal["site", "hub", "registry"]
RefusalsTell = Literal["nothing", "law", "everything"]
HOST_NAME = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"
ClaimKind = Literal[
    "MembershipCredential", "DataspaceRoleCredential", "HealthDataAccessBodyCredential", "PermitHolderCredential"
]


class Peer(Closed):
    """Another connector this one knows: the anchor of trust, agreed when joining."""

    did: str = Field(description="did:web of the peer, e.g. did:web:hospital.example")
    url: str = Field(description="public address of its protocol, e.g. https://hospital.example")
    role: Role = Field(description="what it does in the data space: site, hub or registry")
    name: str = Field(description="its name for people")
    place: str | None = Field(
        default=None,
        description="country it is established in, e.g. DE, or 'adequate country' for one with an adequacy decision; "
        "under the EHDS nothing is exported to a party whose place is not known (Art. 88)",
    )
    not_for_profit: bool | None = Field(default=None, description="whether it is a not-for-profit organisation")


class AccessBody(Closed):
    """A health data access body whose signature on permits this site trusts (EHDS Art. 55)."""

    did: str = Field(description="did:web of the body, e.g. did:web:hdab.example")
    url: str = Field(description="address its DID document and status lists are published at")
    name: str = Field(description="its name for people")


class TrustedIssuer(Closed):
    """An issuer whose credentials about other parties this connector believes (Decentralized Claims Protocol)."""

    did: str = Field(description="did:web of the issuer, e.g. did:web:authority.example")
    url: str = Field(description="address its DID document, its issuer service and its status lists are published at")
    name: str = Field(description="its name for people")
    kinds: tuple[ClaimKind, ...] = Field(
        default=("MembershipCredential", "DataspaceRoleCredential"),
        min_length=1,
        description="the kinds of credential it is believed for; a kind that is not named is refused",
    )


class OutsideDataPlane(Closed):
    """A data plane of somebody else that carries transfers of released data (Data Plane Signaling 1.0)."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,39}$",
        description="short name; the secret shared with it lies in secrets/data-plane-NAME",
    )
    url: str = Field(description="address below which it takes signals: https, or this machine")
    formats: list[str] = Field(min_length=1, description="the transfer formats it serves, e.g. AmazonS3-PULL")

    @field_validator("url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if not (parts.scheme == "https" or local) or not parts.hostname or parts.username or parts.query:
            raise ValueError("must be an https address, or an http address of this machine")
        return value.rstrip("/")


class Limits(Closed):
    """Bounds of a sandboxed run."""

    memory_bytes: int = Field(default=4 * 1024**3, gt=0, description="address space of a plugin process, in bytes")
    seconds: int = Field(default=600, gt=0, description="longest duration of one run, in seconds")
    output_bytes: int = Field(default=512 * 1024**2, gt=0, description="largest file a plugin may write, in bytes")


class Accepts(Closed):
    """What a registry accepts; the hub and the sites it trusts are its peers."""

    epsilon: float = Field(default=8.0, gt=0, description="largest privacy loss ε of a certified dataset")
    delta: float = Field(default=1e-5, ge=0, lt=1, description="largest δ of a certified dataset")
    minimum_sites: int = Field(default=3, ge=1, description="fewest sites whose evidence a certificate must hold")
    witnesses: int = Field(
        default=0, ge=0, description="fewest peers that must have cosigned the heads of the logs behind a certificate"
    )
    second_signature: bool = Field(
        default=False, description="whether the issuer's data protection officer must have signed as well"
    )


class Index(Closed):
    """Where the log's triples are kept for questions; the log itself always lies in the connector's own state."""

    store: Literal["memory", "disk", "endpoint"] = Field(
        default="memory",
        description="memory (up to about 100,000 entries), disk (folder 'index' in the home), or endpoint (a SPARQL "
        "1.1 server)",
    )
    query: str | None = Field(default=None, description="address of the server's SPARQL 1.1 query, for endpoint")
    update: str | None = Field(default=None, description="address of the server's SPARQL 1.1 update, for endpoint")
    seconds: int = Field(default=30, gt=0, description="longest time an auditor's own question may take, in seconds")
    memory_bytes: int = Field(
        default=2 * 1024**3, gt=0, description="memory an auditor's own question may take, in bytes"
    )

    @model_validator(mode="after")
    def _knows_its_server(self) -> Self:
        if (self.store == "endpoint") != (self.query is not None and self.update is not None):
            raise ValueError("an endpoint needs both 'query' and 'update', and only an endpoint has them")
        return self


class Engine(Closed):
    """What carries the rounds of federated studies (ADR 0024)."""

    carries: Literal["embedded", "nvflare"] = Field(
        default="embedded",
        description="embedded (the connectors' own channel, on one machine) or nvflare (NVIDIA FLARE, between "
        "machines); at a hub for the studies it begins, at a site whether it takes part over FLARE",
    )
    environment: Path | None = Field(
        default=None,
        description="folder of NVIDIA FLARE's environment, made with: synthema study engine FOLDER; beside "
        "connector.toml unless absolute; needed for nvflare",
    )
    host: str | None = Field(
        default=None,
        pattern=HOST_NAME,
        description="at a hub: name by which sites reach FLARE's server, the host of public_url or one below it; "
        "without it, that host",
    )
    port: int = Field(default=8002, ge=1, le=65_535, description="at a hub: port of FLARE's server")

    @model_validator(mode="after")
    def _knows_its_environment(self) -> Self:
        if self.carries == "nvflare" and self.environment is None:
            raise ValueError("nvflare needs 'environment', a folder made with: synthema study engine FOLDER")
        return self

    @field_validator("host")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and is_address(value):
            raise ValueError("must be a name: FLARE's certificates are for names, not for addresses")
        return value


class Settings(BaseSettings):
    """What one connector is and where it answers."""

    model_config = SettingsConfigDict(env_prefix="SYNTHEMA_", env_nested_delimiter="__", extra="forbid", frozen=True)

    home: Path = Field(description="folder of this connector's state, keys and data")
    mode: Literal["demo", "production"] = Field(default="production", description="demo secrets work in demo mode only")
    name: str = Field(description="name of the organisation, for people")
    role: Role = Field(description="site (holds patient data), hub (coordinates) or registry (ingests)")
    regime: Literal["pre-EHDS", "EHDS"] = Field(
        default="pre-EHDS", description="EHDS Chapter IV applies from 26 March 2029; before, GDPR and contracts"
    )
    place: str | None = Field(
        default=None, description="country this connector processes data in, e.g. DE; needed under the EHDS (Art. 87)"
    )
    member_state_pack: Path | None = Field(
        default=None,
        description="file of a Member State's law pack (L1), beside connector.toml unless absolute",
    )
    age_of_majority: dict[str, Annotated[int, Field(ge=12, le=25)]] = Field(
        default_factory=dict,
        description="age in years from which people consent for themselves, by country of two letters; 18 elsewhere",
    )
    public_url: str = Field(description="address of the public protocol, without a trailing slash")
    management_url: str = Field(description="address of the management interface; keep it inside the house")
    public_listen: str | None = Field(
        default=None,
        pattern=r"^[^\s:]+:\d{1,5}$",
        description="host:port the public protocol listens at, behind a proxy that holds public_url and TLS; "
        "without it, host and port of public_url",
    )
    management_listen: str | None = Field(
        default=None,
        pattern=r"^[^\s:]+:\d{1,5}$",
        description="host:port the management interface listens at; without it, host and port of management_url",
    )
    trusted_authorities: Path | None = Field(
        default=None,
        description="PEM file of certificate authorities that partners' TLS certificates may come from, beside the "
        "public ones; beside connector.toml unless absolute",
    )
    peers: tuple[Peer, ...] = Field(default=(), description="the connectors this one trusts")
    access_bodies: tuple[AccessBody, ...] = Field(
        default=(), description="the health data access bodies whose signed permits this site takes in"
    )
    trusted_issuers: tuple[TrustedIssuer, ...] = Field(
        default=(),
        description="the issuers of credentials about other parties; as soon as one of them is believed for "
        "memberships, every call of another connector needs a membership that is in force",
    )
    data_planes: tuple[OutsideDataPlane, ...] = Field(
        default=(), description="data planes of others that may carry released data, beside the built-in ones"
    )
    minimum_isolation: int = Field(
        default=2, ge=1, le=4, description="lowest isolation level at which plugins may run (ADR 0004)"
    )
    minimum_cohort: int = Field(default=50, ge=1, description="fewest patients a run may work on, after exclusions")
    minimum_parties: int = Field(default=3, ge=3, description="fewest sites in a secure sum, drop-outs not counted")
    tolerated_colluders: int = Field(
        default=1, ge=0, description="sites that may pool what they know against another; raises each site's noise"
    )
    answer_seconds: float = Field(
        default=120.0, gt=0, description="how long a hub waits for a site at one step of a round, in seconds"
    )
    hub_silence_seconds: float = Field(
        default=900.0,
        gt=0,
        description="how long a site waits for a hub that does not answer in a study, in seconds; a hub that was "
        "restarted meanwhile goes on where it was",
    )
    refusals_tell: RefusalsTell = Field(
        default="law",
        description="what a site tells a study's coordinator when it refuses: nothing, law (reasons of public law and "
        "of the agreement, which both have), or everything; its own log always says all",
    )
    approve_contracts: bool = Field(
        default=False,
        description="whether a data protection officer approves each contract before this connector, as provider, "
        "agrees to it (synthema negotiation approve)",
    )
    limits: Limits = Limits()
    engine: Engine = Engine()
    index: Index = Index()
    accepts: Accepts = Accepts()

    @field_validator("public_url", "management_url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("must be an http(s) address without a path")
        return value.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment overrides the file, whose values arrive as initial ones.
        return env_settings, init_settings

    @property
    def did(self) -> str:
        """did:web of this connector, derived from its public address (W3C did:web method)."""
        return did_web(self.public_url)

    @property
    def database(self) -> Path:
        return self.home / "state.sqlite"


def is_address(host: str) -> bool:
    """Whether a host is given by its IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def did_web(url: str) -> str:
    """The did:web identifier of an http(s) origin; a port is percent-encoded."""
    return f"did:web:{quote(urlsplit(url).netloc, safe='')}"


def load_settings(home: Path) -> Settings:
    """Read ``connector.toml`` in a connector's home; raises :class:`InputError` naming the field."""
    path = home / "connector.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            "there is no connector here", where=str(path), fix=f"make one with: synthema init --home {home}"
        ) from error
    return read_settings(home, text)


def read_settings(home: Path, text: str) -> Settings:
    """Settings from the text of ``connector.toml``; raises :class:`InputError` naming the field."""
    where = str(home / "connector.toml")
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=where, fix="mend the line named above") from error
    try:
        # The home is where the file lies; an environment variable must not point one connector at another's state.
        return Settings(**values, home=home.resolve()).model_copy(update={"home": home.resolve()})
    except (ValidationError, TypeError) as error:
        if isinstance(error, TypeError):
            raise InputError("'home' is not a setting", where=where, fix="remove 'home' from the file") from error
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{field}: {first['msg']}", where=where, fix=f"correct or remove '{field}'") from error
