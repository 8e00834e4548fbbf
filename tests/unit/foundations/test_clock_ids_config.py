"""Time, identifiers and settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.assembly.setup import initialise, settings_text
from synthema.clock import FixedClock, SystemClock, duration, from_text, to_text
from synthema.config import Peer, did_web, load_settings
from synthema.errors import ConflictError, InputError
from synthema.ids import kind_of, new_id, require_id

LATEST = datetime(9999, 12, 29)  # noqa: DTZ001 - hypothesis wants bounds without a zone
EARLIEST = datetime(1, 1, 3)  # noqa: DTZ001


@given(st.datetimes(min_value=EARLIEST, max_value=LATEST), st.integers(-23, 23))
def test_moments_survive_text_in_any_zone(moment: datetime, hours: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert from_text(to_text(zoned)) == zoned


@given(st.datetimes(), st.datetimes())
def test_text_sorts_in_order_of_time(first: datetime, second: datetime) -> None:
    a, b = first.replace(tzinfo=UTC), second.replace(tzinfo=UTC)
    if a.year > 999 and b.year > 999:
        assert (a < b) == (to_text(a) < to_text(b))


@pytest.mark.parametrize("text", ["2026-11-21", "2026-11-21T10:00:00", "yesterday", ""])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        from_text(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("P30D", 2_592_000), ("PT12H", 43_200), ("P1DT1H1M1S", 90_061), ("PT0S", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["P", "PT", "P1Y", "P1M", "30D", "P-1D", "P1DT", "P1D ", ""])
def test_durations_of_unsure_length_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        duration(text)


def test_a_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    before = clock.now()
    clock.advance(timedelta(hours=1))
    assert clock.now() - before == timedelta(hours=1)
    assert SystemClock().now().tzinfo is UTC


def test_ids_carry_their_kind_and_differ() -> None:
    made = {new_id("run") for _ in range(1000)}
    assert len(made) == 1000
    assert all(kind_of(each) == "run" for each in made)


@pytest.mark.parametrize("text", ["13", "run-13", "grant-" + "0" * 32, "run-" + "0" * 33, "../run-" + "0" * 32, ""])
def test_an_id_of_another_kind_or_shape_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        require_id("run", text)


def make(home: Path) -> None:
    peer = Peer(did="did:web:hub.example", url="https://hub.example", role="hub", name='The "hub"\n')
    initialise(
        home,
        name="Test\\site",
        role="site",
        public_url="http://127.0.0.1:8101",
        management_url="http://127.0.0.1:8102",
        mode="demo",
        peers=[peer],
    )


def test_a_new_connector_reads_its_own_settings(tmp_path: Path) -> None:
    make(tmp_path / "home")
    settings = load_settings(tmp_path / "home")
    assert settings.name == "Test\\site"
    assert settings.peers[0].name == 'The "hub"\n'
    assert settings.did == "did:web:127.0.0.1%3A8101"
    assert (tmp_path / "home" / "secrets" / "passphrase").stat().st_mode & 0o077 == 0


@pytest.mark.article("EHDS 53(2)")
def test_no_setting_makes_a_party_a_public_sector_body(tmp_path: Path) -> None:
    """Two people confirm it on evidence, or a trusted body signs it (synthema attestation)."""
    make(tmp_path / "home")
    settings = tmp_path / "home" / "connector.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + "public_sector_body = true\n", encoding="utf-8")
    with pytest.raises(InputError, match="public_sector_body"):
        load_settings(tmp_path / "home")


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path / "home")
    with pytest.raises(ConflictError):
        make(tmp_path / "home")


def test_a_misspelt_setting_is_an_error_that_names_it(tmp_path: Path) -> None:
    make(tmp_path / "home")
    path = tmp_path / "home" / "connector.toml"
    path.write_text("minimum_isolatoin = 3\n" + path.read_text())
    with pytest.raises(InputError, match="minimum_isolatoin"):
        load_settings(tmp_path / "home")


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "home")
    monkeypatch.setenv("SYNTHEMA_MINIMUM_COHORT", "80")
    assert load_settings(tmp_path / "home").minimum_cohort == 80


def test_a_missing_connector_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="synthema init"):
        load_settings(tmp_path)


def test_settings_text_escapes_what_toml_does_not_allow() -> None:
    assert settings_text({"name": "a\tb"}, []).splitlines()[-1] == 'name = "a\\u0009b"'
    assert did_web("https://hospital.example") == "did:web:hospital.example"
