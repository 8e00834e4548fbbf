"""Policies tried before they count: a text with all its mistakes, what it changes, what would be, templates, DUO."""

from __future__ import annotations

from typing import Any

import pytest

from synthema.policy.templates import placeholders, template_names
from synthema.web.console.views.policy_suppose import _fields, request_lines
from synthema.web.console.views.policy_templates import read_head
from tests.unit.web_console.conftest import Site
from tests.unit.web_console.outline import Outline
from tests.unit.web_console.test_pages import page, twin
from tests.unit.web_console.world import HOSTILE, World, mark_of, policy_text, world

CASES = """
policy: {policy}
with: [{{file: law/ehds.yaml}}]
request:
  target: http://127.0.0.1:8101/id/dataset/mgus
  assignee: did:web:hub.example
cases:
  - {{name: advertising, action: synthesise, facts: {{purpose: "dpv:Advertising"}}, expect: deny}}
  - {{name: "{name}", action: synthesise, facts: {{purpose: "dpv:Advertising"}}, expect: permit}}
"""


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A site whose policy is in force."""
    with world(tmp_path_factory.mktemp("governed"), "site") as found:
        draft = found.call("policy/draft", text=policy_text("In force"), file="policy.yaml")
        for role in ("dpo", "data steward"):
            found.sign_policy(draft, role)
        yield found


def send(found: World, path: str, *, accept: str = "text/html", **sent: str) -> Any:
    browser = found.signed_in()
    mark = mark_of(browser.get("/console" + path).text)
    return browser.post("/console" + path, data={"form_mark": mark, **sent}, headers={"accept": accept})


# a text --------------------------------------------------------------------------------------------


def test_all_mistakes_of_a_text_are_told_at_once_each_with_its_line(site: Site) -> None:
    wrong = policy_text().replace("layer: site", "layer: kitchen").replace("epsilon at most", "epsilom at most", 1)
    lines = wrong.splitlines()
    expected = [lines.index("layer: kitchen") + 1, next(n for n, t in enumerate(lines, 1) if "epsilom" in t)]
    answer = send(site.world, "/policies/check", text=wrong)
    assert answer.status_code == 422
    outline = Outline(answer.text)
    assert outline.problems() == []
    assert "2 things are not understood" in outline.text
    assert all(f"policy.yaml:{line}" in outline.text for line in expected)
    told = send(site.world, "/policies/check", text=wrong, accept="application/json").json()["error"]
    assert [problem["where"] for problem in told["problems"]] == [f"policy.yaml:{line}" for line in expected]
    assert all(problem["fix"] for problem in told["problems"])


def test_hostile_mistakes_are_text(site: Site) -> None:
    text = policy_text().replace("layer: site", f"layer: '{HOSTILE.replace(chr(39), chr(39) * 2)}'")
    answer = send(site.world, "/policies/check", text=text, cases=f"</textarea>{HOSTILE}")
    assert "<script>" not in answer.text
    assert Outline(answer.text).problems() == []


def test_a_text_is_compared_with_the_version_in_force(governed: World) -> None:
    wider = policy_text("In force", "2").replace("4.0", "5.0")
    value = send(governed, "/policies/check", text=wider, accept="application/json").json()
    assert (value["diff"]["old"], value["diff"]["new"]) == ("1", "2")
    assert {each["kind"] for each in value["diff"]["differences"]} == {"allowed"}
    assert all(each["witness"]["facts"] for each in value["diff"]["differences"])
    outline = Outline(send(governed, "/policies/check", text=wider).text)
    assert outline.problems() == []
    assert "Against version 1, which is in force" in outline.text
    assert "now permitted, before it was not" in outline.text.casefold()
    assert "For example: to " in outline.text
    same = Outline(send(governed, "/policies/check", text=policy_text("In force", "2")).text)
    assert "Both versions answer every request alike." in same.text


def test_a_new_policy_has_nothing_to_be_compared_with(governed: World) -> None:
    other = policy_text().replace("policy: research-synthetic-data", "policy: another")
    value = send(governed, "/policies/check", text=other, accept="application/json").json()
    assert value["diff"] is None
    assert "in force" in value["diffWhy"]["message"]
    assert "no version of this policy is in force" in send(governed, "/policies/check", text=other).text


def test_cases_are_run_and_what_none_shows_is_told(governed: World) -> None:
    cases = CASES.format(
        policy="http://127.0.0.1:8101/id/policy/research-synthetic-data", name=HOSTILE.replace('"', "")
    )
    answer = send(governed, "/policies/check", text=policy_text("In force", "2"), cases=cases)
    outline = Outline(answer.text)
    assert outline.problems() == []
    assert ("✓ OK" in outline.text, "✗ FAIL" in outline.text) == (True, True)
    assert "What no case shows yet" in outline.text
    assert "<script>" not in answer.text
    wrong = send(
        governed, "/policies/check", text=policy_text("In force", "2"), cases=CASES.format(policy="urn:other", name="a")
    )
    assert wrong.status_code == 200
    assert "these are the cases of urn:other" in wrong.text


# what if -------------------------------------------------------------------------------------------


def suppose(found: World, **changes: str) -> Any:
    asked = {
        "action": "https://w3id.org/synthema/ns#synthesise",
        "purpose": "https://w3id.org/dpv#Advertising",
        "dataset": "mgus",
        "party": "did:web:hub.example",
        "fact-epsilon": "3",
    }
    return send(found, "/policies/what-if", **(asked | changes))


@pytest.mark.article("EHDS 54")
def test_a_request_nobody_makes_is_decided_and_explained(site: Site) -> None:
    before = site.world.call("log/size")
    answer = suppose(site.world)
    assert answer.status_code == 200
    outline = Outline(answer.text)
    assert outline.problems() == []
    assert "Decision: denied" in outline.text
    assert "EHDS 54(c)" in outline.text
    assert "What single fact would turn it" in outline.text
    assert site.world.call("log/size") == before, "nothing is kept"
    assert site.world.call("request/list") == twin(site.world, "/requests")


def test_a_draft_is_decided_beside(site: Site) -> None:
    outline = Outline(suppose(site.world, draft=policy_text("A draft", "9")).text)
    assert outline.problems() == []
    assert "Under the draft" in outline.text
    wrong = suppose(site.world, draft="layer: kitchen")
    assert wrong.status_code == 422
    assert "layer: kitchen" in wrong.text, "what was typed is kept"


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"fact-epsilon": "much"}, "fact-epsilon"), ({"at": "soon"}, "at"), ({"dataset": ""}, "dataset")],
)
def test_a_value_that_is_none_is_marked_at_its_field(site: Site, changes: dict[str, str], key: str) -> None:
    answer = suppose(site.world, **changes)
    assert answer.status_code == 422
    outline = Outline(answer.text)
    assert outline.problems() == []
    (field,) = [field for field in outline.all("input") if field.get("aria-invalid")]
    assert field["name"] == key


def test_no_value_becomes_a_line_or_a_key(site: Site) -> None:
    fields = _fields(site.world.connector.vocabulary)
    sent = {"action": 'x"\nexpect: permit', "fact-epsilon": "3\n  purpose: dpv:Advertising", "done": "a] b"}
    lines = [text for _, text in request_lines(fields, sent)]
    assert all("\n" not in line for line in lines)
    assert lines[-1] == 'done: ["a]", "b"]'
    answer = suppose(site.world, party=HOSTILE, **{"fact-project": HOSTILE})
    assert "<script>" not in answer.text
    assert Outline(answer.text).problems() == []


def test_a_kept_request_fills_the_form_and_is_decided_alike(site: Site) -> None:
    outline = page(site.world, f"/policies/what-if?run={site.denied}")
    filled = [field for field in outline.all("input") if field.get("value") and field.get("type") != "hidden"]
    chosen = {str(field["name"]): str(field["value"]) for field in filled}
    chosen |= selected(outline)
    answer = send(site.world, "/policies/what-if", accept="application/json", **chosen).json()
    kept = site.world.call("request/show", run=site.denied)["decision"]
    assert stated(answer["decision"], site.world) == stated(kept, site.world)
    assert answer["effect"] == kept["effect"]


def stated(decision: dict[str, Any], found: World) -> dict[str, list[str]]:
    """The facts of a decision without those that the connector adds to each; a list of one is that one."""
    added = {*found.connector.policies.standing, "http://www.w3.org/ns/odrl/2/dateTime"}
    return {iri: fact["value"][1:] for iri, fact in decision["request"]["facts"].items() if iri not in added}


def selected(outline: Outline) -> dict[str, str]:
    """The choices of a page's selects."""
    found: dict[str, str] = {}
    name = ""
    for tag, attributes in outline.tags:
        if tag == "select":
            name = str(attributes["name"])
        if tag == "option" and "selected" in attributes and attributes.get("value"):
            found[name] = str(attributes["value"])
    return found


# replay, templates, DUO --------------------------------------------------------------------------


def test_decisions_are_decided_again(site: Site) -> None:
    value = twin(site.world, "/policies/replay?since=2026-01-01")["replayed"]
    assert value == site.world.call("policy/replay", since="2026-01-01")
    assert {each["run"] for each in value["decisions"]} == {site.denied, site.stopped}
    text = page(site.world, "/policies/replay?since=2026-01-01").text
    assert value["sentence"] in text
    draft = send(site.world, "/policies/replay", since="2026-01-01", draft=policy_text("A draft", "9"))
    assert "under research-synthetic-data, version 9" in draft.text
    assert Outline(draft.text).problems() == []
    assert site.world.signed_in().get("/console/policies/replay?since=soon").status_code == 422
    assert "Nothing was decided since then." in page(site.world, "/policies/replay?since=2030-01-01").text


def test_every_template_is_shown_in_its_plain_words(site: Site) -> None:
    value = twin(site.world, "/policies/templates")
    assert [each["template"] for each in value] == list(template_names())
    for each in value:
        assert set(each["parts"]) == {"Permits", "Permits not", "You decide", "Rests on"}, each["template"]
        assert each["about"].endswith("."), each["template"]
    text = page(site.world, "/policies/templates").text
    for name in template_names():
        assert f"synthema policy new {name} --set {placeholders(name)[0]}=" in text


def test_a_head_without_plain_words_is_what_it_is_for() -> None:
    assert read_head("# A template.\npolicy: x\n# In plain words\n") == ("A template.", {})


def test_codes_are_matched_with_what_is_known(site: Site) -> None:
    research = "https://w3id.org/dpv/legal/eu/ehds%23HealthcareScientificResearch"
    value = twin(site.world, f"/policies/duo?codes=HMB+NPU&fact-purpose={research}&fact-not-for-profit=false")
    assert {match["code"]: match["fit"] for match in value["matches"]} == {"HMB": "fits", "NPU": "does not fit"}
    open_ = twin(site.world, "/policies/duo?codes=NPU")["matches"]
    assert open_[0]["fit"] == "open"
    assert "✓ fits" in page(site.world, f"/policies/duo?codes=HMB&fact-purpose={research}").text
    assert site.world.signed_in().get("/console/policies/duo?codes=").status_code == 422
    assert twin(site.world, "/policies/duo")["matches"] is None
