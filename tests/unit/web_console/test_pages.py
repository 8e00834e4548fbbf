"""What each page shows, its twin for machines, and that nothing on it is taken for markup."""

from __future__ import annotations

import re
from html import escape
from typing import Any
from urllib.parse import quote

import pytest

from synthema.canonical import canonical_json
from synthema.certification import CHECKS
from synthema.provenance import VerifierKey, verify_bundle
from synthema.web.console.pages import capital, day, moment, month, number, plain, short, spaced, term, thing
from tests.unit.web_console.conftest import Site
from tests.unit.web_console.outline import Outline
from tests.unit.web_console.world import HOSTILE, World, mark_of, policy_text

SITE_PAGES = [
    "", "/obligations", "/obligations?all=yes", "/obligations?party=did:web:nobody.example", "/policies",
    "/policies/check", "/policies/what-if", "/policies/replay", "/policies/replay?since=2026-01-01",
    "/policies/replay?since=yesterday", "/policies/templates", "/policies/duo", "/policies/duo?codes=HMB+NPU",
    "/policies/duo?codes=XYZ", "/permits", "/consents", "/assessments", "/reviews", "/law", "/law?text=opted+out",
    "/law?text=nowhere", "/law/article?article=EHDS+71", "/requests", "/datasets", "/budgets",
    "/plugins", "/log", "/log/0",
    "/log?text=policy", "/log?before=3", "/health", "/help", "/nothing", "/registry", "/studies", "/requests/run-none",
]  # fmt: skip


def page(world: World, path: str) -> Outline:
    return Outline(world.signed_in().get("/console" + path).text)


def twin(world: World, path: str) -> Any:
    answer = world.signed_in().get("/console" + path, headers={"accept": "application/json"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == canonical_json(answer.json())
    return answer.json()


@pytest.mark.parametrize("path", SITE_PAGES)
def test_every_page_is_well_made(site: Site, path: str) -> None:
    assert page(site.world, path).problems() == []


def test_the_pages_of_things_are_well_made(site: Site, hub: World, registry: World) -> None:
    draft = f"/policies/show?policy={quote(str(site.draft['policy']))}&version=1"
    for world, path in [
        (site.world, draft),
        (site.world, f"/requests/{site.denied}"),
        (site.world, f"/requests/{site.stopped}"),
        (hub, "/studies"),
        (hub, "/studies/study-1"),
        (hub, ""),
        (registry, "/registry"),
    ]:
        assert page(world, path).problems() == [], path


def test_the_sign_in_page_is_well_made(site: Site) -> None:
    browser = site.world.visitor()
    first = Outline(browser.get("/console/sign-in").text)
    assert first.problems() == []
    token = next(field for field in first.all("input") if field.get("name") == "token")
    assert token.get("type") == "password"
    assert token.get("autocomplete") == "current-password"
    assert "onpaste" not in token
    refused = browser.post("/console/sign-in", data={"form_mark": mark_of(first.page), "token": "no"})
    assert Outline(refused.text).problems() == []


@pytest.mark.parametrize(
    "path", ["", "/policies", "/datasets", "/requests/STOPPED", "/policies/show?policy=DRAFT&version=1"]
)
def test_a_hostile_title_is_text_and_nothing_else(site: Site, path: str) -> None:
    path = path.replace("STOPPED", site.stopped).replace("DRAFT", quote(str(site.draft["policy"])))
    text = site.world.signed_in().get("/console" + path).text
    assert "<script>" not in text
    assert "49" not in text.partition("alert(1)")[2][:60], "a value was run as a template"
    assert escape(HOSTILE).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text
    assert "Hospital <A>" not in text


def test_hostile_words_of_a_query_and_a_path_are_text(site: Site) -> None:
    browser = site.world.signed_in()
    for path in (
        f"/log?text={quote(HOSTILE)}",
        f"/{quote(HOSTILE)}",
        f"/requests/{quote(HOSTILE, safe='')}",
        "/log/<b>",
    ):
        assert "<script>" not in browser.get("/console" + path).text


# today -------------------------------------------------------------------------------------


def test_today_names_what_needs_a_person(site: Site) -> None:
    needs = twin(site.world, "")["needs"]
    kinds = [need["kind"] for need in needs]
    assert {"Policy to sign", "Plugin awaiting approval", "Run stopped in quarantine"} <= set(kinds)
    policy = next(need for need in needs if need["kind"] == "Policy to sign")
    assert "1 of 2 signatures" in policy["sentence"]
    browser = site.world.signed_in()
    assert all(browser.get(need["address"]).status_code == 200 for need in needs)


def test_today_says_so_when_nothing_needs_anybody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthema.web.console.desk.Desk.ask", lambda *_args, **_named: [])
    assert "Nothing needs you." in page(site.world, "").text


def test_today_names_a_budget_that_is_nearly_spent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    account = {"account": "budget-1", "dataset": "mgus", "recipient": "*", "share": 0.8}
    monkeypatch.setattr(
        "synthema.web.console.desk.Desk.ask",
        lambda _self, operation, **_named: [account] if operation == "budget/show" else [],
    )
    (need,) = twin(site.world, "")["needs"]
    assert need["kind"] == "Privacy budget nearly spent"
    assert "80% of the budget of all recipients together for dataset mgus" in need["sentence"]


def test_a_hub_sees_its_stopped_studies_today(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    study = {"id": "study-1", "title": "T", "state": "stopped", "reason": "too much noise"}
    monkeypatch.setattr(
        "synthema.web.console.desk.Desk.ask",
        lambda _self, operation, **_named: [study] if operation == "study/list" else [],
    )
    (need,) = twin(hub, "")["needs"]
    assert need["kind"] == "Study stopped in quarantine"


# policies ----------------------------------------------------------------------------------


def test_the_list_of_policies_shows_where_each_stands(site: Site) -> None:
    assert twin(site.world, "/policies")["policies"] == site.world.call("policy/list")
    text = page(site.world, "/policies").text
    assert "in review" in text
    assert "data steward" in text


def test_a_policy_is_shown_in_sentences_with_the_command_that_signs_it(site: Site) -> None:
    path = f"/policies/show?policy={quote(str(site.draft['policy']))}&version=1"
    value = twin(site.world, path)
    assert value["odrl"]["uid"] == site.draft["policy"]
    text = page(site.world, path).text
    assert all(sentence.strip() in text for sentence in value["sentences"])
    officer, steward = (site.world.people[role][0] for role in ("dpo", "data steward"))
    assert f"synthema policy sign {value['policy']} --version 1 --person {officer}" in text
    assert f"--person {steward}" not in text, "who has signed is not asked again"
    assert str(site.world.connector.settings.home) in text


def test_an_unknown_policy_is_not_found(site: Site) -> None:
    browser = site.world.signed_in()
    assert browser.get("/console/policies/show?policy=x&version=1").status_code == 404
    assert browser.get("/console/policies/show").status_code == 400


def check(world: World, text: str, **headers: str) -> Any:
    browser = world.signed_in()
    mark = mark_of(browser.get("/console/policies/check").text)
    return browser.post("/console/policies/check", data={"form_mark": mark, "text": text}, headers=headers)


def test_a_pasted_policy_is_explained_and_not_kept(site: Site) -> None:
    before = site.world.call("policy/list")
    answer = check(site.world, policy_text("A new one", "7").replace("\n", "\r\n"))
    assert answer.status_code == 200
    outline = Outline(answer.text)
    assert outline.problems() == []
    assert "A new one, version 7" in outline.text
    assert site.world.call("policy/list") == before
    value = check(site.world, policy_text(), accept="application/json").json()
    assert value["understood"]
    assert value["sentences"]


def test_a_finding_is_shown_with_what_to_do(site: Site) -> None:
    unconfirmed = policy_text().partition("\nconfirmed:")[0]
    answer = check(site.world, unconfirmed)
    assert answer.status_code == 200
    assert "What to do:" in answer.text
    assert "confirm" in answer.text


def test_a_policy_that_cannot_be_understood_names_the_line(site: Site) -> None:
    wrong = policy_text().replace("layer: site", "layer: kitchen")
    line = wrong.splitlines().index("layer: kitchen") + 1
    answer = check(site.world, wrong + f"\n# {HOSTILE}</textarea>")
    assert answer.status_code == 422
    outline = Outline(answer.text)
    assert outline.problems() == []
    assert f"policy.yaml:{line}" in outline.text
    assert "</textarea></textarea>" not in answer.text
    assert outline.all("textarea")[0].get("aria-invalid") == "true"
    assert check(site.world, "  ").status_code == 422


# requests ----------------------------------------------------------------------------------


@pytest.mark.article("EHDS 54")
def test_a_denied_request_is_explained_by_layer_rule_and_article(site: Site) -> None:
    value = twin(site.world, f"/requests/{site.denied}")
    assert value == site.world.call("request/show", run=site.denied)
    text = page(site.world, f"/requests/{site.denied}").text
    assert "Decision: denied" in text
    assert "EHDS 54(c)" in text
    assert "Union law" in text
    assert "No change of this request would permit it." in text or "smallest change" in text


def test_gates_stand_with_what_was_measured(site: Site) -> None:
    outline = page(site.world, f"/requests/{site.stopped}")
    assert "similarity must be ≥ 0.85" in outline.text
    assert "FAIL" in outline.text
    assert "The review is due later." in outline.text


def test_the_list_of_requests_leads_to_each(site: Site) -> None:
    assert twin(site.world, "/requests") == site.world.call("request/list")
    addresses = {link.get("href") for link in page(site.world, "/requests").all("a")}
    assert {f"/console/requests/{run}" for run in (site.denied, site.stopped)} <= addresses


def test_an_unknown_request_is_not_found(site: Site) -> None:
    answer = site.world.signed_in().get("/console/requests/run-none")
    assert answer.status_code == 404
    assert "There is no such run".casefold() in answer.text.casefold()


# datasets, budgets, plugins ------------------------------------------------------------------


@pytest.mark.article("EHDS 78")
def test_datasets_stand_with_their_quality(site: Site) -> None:
    assert twin(site.world, "/datasets") == site.world.call("dataset/list")
    text = page(site.world, "/datasets").text
    assert "80" in text
    assert "hgb" in text


def test_a_budget_has_a_meter_and_its_figures(site: Site) -> None:
    assert twin(site.world, "/budgets") == site.world.call("budget/show")
    outline = page(site.world, "/budgets")
    meter = outline.all("meter")[0]
    assert (meter["value"], meter["high"], meter["max"]) == ("0.0", "0.8", "1")
    assert "ε = 5 at δ = 1e-05" in outline.text
    assert "did:web:<hub>" in outline.text


def test_a_plugin_is_described_with_the_commands_that_approve_it(site: Site) -> None:
    plugins = twin(site.world, "/plugins")
    assert plugins == site.world.call("plugin/list")
    text = page(site.world, "/plugins").text
    for plugin in plugins:
        assert plugin["digest"] in text
        assert all(sentence in text for sentence in plugin["sentences"])
    officer, steward = (site.world.people[role][0] for role in ("dpo", "data steward"))
    for person in (officer, steward):
        assert f"synthema plugin sign secure-sum --person {person} --key YOUR-KEY.pem" in text
    assert "synthema plugin approve secure-sum --signature first.json --signature second.json" in text


# log -----------------------------------------------------------------------------------------


def test_the_log_is_read_newest_first_and_in_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthema.web.console.views.log.PER_PAGE", 4)
    size = site.world.connector.log.size()
    browser = site.world.signed_in()
    seen: list[int] = []
    address = "/console/log"
    while address:
        found = browser.get(address)
        seen += [e["sequence"] for e in browser.get(address, headers={"accept": "application/json"}).json()["entries"]]
        links = [link.get("href") or "" for link in Outline(found.text).all("a")]
        address = next((link for link in links if "before=" in link), "")
    assert seen == list(range(size - 1, -1, -1))


def test_the_log_is_filtered_by_text(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthema.web.console.views.log.WINDOW", 3)
    found = twin(site.world, "/log?text=POLICYDECISION")["entries"]
    assert len(found) == 2
    assert all("PolicyDecision" in entry["body"] for entry in found)
    assert "No entry that was searched" in page(site.world, "/log?text=nowhere").text


def test_a_long_search_goes_on_behind_a_link(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthema.web.console.views.log.MAX_SEARCHED", 2)
    outline = page(site.world, "/log?text=nowhere")
    size = site.world.connector.log.size()
    assert f"/console/log?text=nowhere&before={size - 2}" in [link.get("href") for link in outline.all("a")]


def test_the_whole_log_is_verified_on_demand(site: Site) -> None:
    browser = site.world.signed_in()
    mark = mark_of(browser.get("/console/log").text)
    answer = browser.post("/console/log/verify", data={"form_mark": mark})
    assert "UNCHANGED" in answer.text
    assert Outline(answer.text).problems() == []
    assert browser.get("/console/log/verify").status_code == 200


def test_a_changed_log_is_named_with_what_to_do(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthema.errors import IntegrityError

    def broken(_self: object, *_args: object) -> None:
        raise IntegrityError(
            "the text of entry 3 is not the one that was recorded", where="log entry 3", fix="keep a copy"
        )

    monkeypatch.setattr(type(site.world.connector.log), "verify", broken)
    browser = site.world.signed_in()
    mark = mark_of(browser.get("/console/log").text)
    answer = browser.post("/console/log/verify", data={"form_mark": mark})
    assert all(words in answer.text for words in ("CHANGED", "entry 3", "keep a copy"))


def test_a_proof_is_a_file_that_holds_for_a_stranger(site: Site) -> None:
    browser = site.world.signed_in()
    shown = browser.get("/console/log/2")
    answer = browser.post("/console/log/2/proof", data={"form_mark": mark_of(shown.text)})
    assert answer.headers["content-disposition"] == 'attachment; filename="entry-2.tlog-proof"'
    held = verify_bundle(answer.text, VerifierKey.parse(str(site.world.connector.log.key)))
    assert held.sequence == 2
    assert held.body.decode() == twin(site.world, "/log/2")["body"]


@pytest.mark.parametrize(("entry", "status"), [("999999", 404), ("x", 400), ("-1", 400), ("9" * 30, 400), ("٣", 400)])
def test_an_entry_that_is_none(site: Site, entry: str, status: int) -> None:
    assert site.world.signed_in().get(f"/console/log/{entry}").status_code == status


# other roles ---------------------------------------------------------------------------------


def test_pages_of_other_roles_are_not_there(site: Site, hub: World, registry: World) -> None:
    for world, path in [
        (site.world, "/registry"),
        (site.world, "/studies"),
        (hub, "/registry"),
        (registry, "/studies"),
    ]:
        assert world.signed_in().get("/console" + path).status_code == 404
    menus = {world.connector.settings.role: page(world, "").text for world in (site.world, hub, registry)}
    assert ("Studies" in menus["hub"], "Studies" in menus["site"], "Registry\n" in menus["site"]) == (
        True,
        False,
        False,
    )


def test_a_study_is_told_in_order(hub: World) -> None:
    assert twin(hub, "/studies") == hub.call("study/list")
    value = twin(hub, "/studies/study-1")
    assert [event["text"] for event in value["events"]] == ["agreement negotiated", "deny", "ended"]
    text = page(hub, "/studies/study-1").text
    assert text.index("agreement negotiated") < text.index("ended")
    assert f"Denied: {HOSTILE}" in text
    assert hub.signed_in().get("/console/studies/none").status_code == 404


def upload(
    world: World, package: bytes, act: str, purpose: str = "ehds:HealthcareScientificResearch", **headers: str
) -> Any:
    browser = world.signed_in()
    mark = mark_of(browser.get("/console/registry").text)
    return browser.post(
        "/console/registry",
        data={"form_mark": mark, "purpose": purpose, "act": act},
        files={"package": ("p.zip", package, "application/zip")},
        headers=headers,
    )


@pytest.mark.parametrize("act", ["check", "ingest"])
def test_a_package_gets_numbered_checks_with_reason_and_fix(registry: World, act: str) -> None:
    answer = upload(registry, b"no package\r\n--boundary\r\n\x00\xff", act)
    assert answer.status_code == 200
    outline = Outline(answer.text)
    assert outline.problems() == []
    assert outline.text.count("FAIL") == len(CHECKS)
    assert outline.text.count("What to do:") == len(CHECKS)
    assert ("not taken in" in outline.text) == (act == "ingest")
    value = upload(registry, b"no package", act, accept="application/json").json()
    assert [result["number"] for result in value["result"]["report"]["checks"]] == list(range(1, len(CHECKS) + 1))
    assert value["holdings"] == []


def test_an_upload_needs_a_package_and_a_purpose(registry: World) -> None:
    assert upload(registry, b"", "check").status_code == 400
    assert upload(registry, b"x", "check", purpose="").status_code == 400


def test_the_purposes_of_the_vocabulary_are_offered(registry: World) -> None:
    options = page(registry, "/registry").all("option")
    assert len(options) == len(registry.connector.vocabulary.purposes)
    assert [o.get("value") for o in options if "selected" in o] == [
        "https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch"
    ]


# health, help, words ---------------------------------------------------------------------------


def test_health_shows_what_the_doctor_found(site: Site) -> None:
    def steady(checks: list[dict[str, str]]) -> list[dict[str, str]]:
        # The log grows by itself between two looks, and the disk fills.
        return [each | {"result": re.sub(r"[0-9]+", "n", each["result"])} for each in checks]

    assert steady(twin(site.world, "/health")) == steady(site.world.call("doctor/check"))


def test_help_explains_its_words(site: Site) -> None:
    glossary = twin(site.world, "/help")["glossary"]
    assert {"Epsilon (ε)", "Gate", "Quarantine"} <= {entry["word"] for entry in glossary}


def test_values_read_well() -> None:
    assert (plain(None), plain([]), plain(value=True), plain(0.12345), plain(["a", "b"])) == (
        "–",
        "–",
        "yes",
        "0.1235",
        "a, b",
    )
    assert term("https://w3id.org/synthema/ns#synthesise") == term("syn:synthesise") == term("synthesise")
    assert term("anything") == "anything"
    assert plain({"operand": "https://w3id.org/synthema/ns#epsilon"}).startswith("the ")
    assert (number(None), number(3), number(1e-05)) == ("–", "3", "1e-05")
    assert moment("2026-11-22T10:00:01.000000Z") == "2026-11-22 10:00:01 UTC"
    assert (moment(None), moment("2026-11-22"), short(None), short("sha256:" + "0" * 64)) == (
        "–", "2026-11-22", "–", "sha256:000000000000…",
    )  # fmt: skip


def test_days_states_and_things_read_well() -> None:
    assert (day("2028-05-22T10:00:00.000000Z"), day(None), month("2028-05")) == ("22 May 2028", "–", "May 2028")
    assert (spaced("ConsentUnknown"), capital("no change"), capital("")) == ("consent unknown", "No change", "")
    assert [
        thing(iri)
        for iri in (
            "https://a.example/log/42",
            "https://a.example/id/exclusion-list/3",
            "https://a.example/id/run/run-1",
        )
    ] == ["log entry 42", "exclusion list 3", "run-1"]
    assert thing("sha256:" + "0" * 64) == "sha256:000000000000…"


def test_an_unknown_page_is_not_found_in_both_forms(site: Site) -> None:
    answer = site.world.signed_in().get("/console/nothing")
    assert answer.status_code == 404
    assert "there is no such page" in answer.text
    assert site.world.signed_in().get("/console/nothing?format=json").json()["code"] == "not-found"
