from __future__ import annotations

from pathlib import Path

from synthema.policy import compile_policies, decide, explain_policy, parse_policy, plain, union_law
from synthema.policy.outline import policy_outline
from tests.unit.policy.language import COMPLETE
from tests.unit.policy.sample import V, all_policies, decision, form, request, template


def test_a_policy_reads_like_sentences() -> None:
    text = "\n".join(explain_policy(template("research-synthetic-data"), V))
    for expected in (
        "Synthetic data for research, version 1 (layer: site, L2).",
        "It rests on GDPR 9(2)(j), GDPR 89(1) and EHDS 53(1)(e).",
        "Any party may make synthetic data or contribute a protected update to a federated study on any dataset",
        "   (d) the privacy loss ε of this release is at most 6",
        ") the privacy loss ε of this release is at most the privacy loss ε that is left in the budget",
        ") the privacy failure probability δ is at most 0.00001",
        "Duty: Afterwards, publish the results, within 548 days (about 18 months) of completion",
        "Nobody may try to identify patients in data, models or synthetic data of this site.",
        "The data protection officer confirms the threshold for the number of contributing parties",
    ):
        assert expected in text


def test_law_is_explained_with_exceptions() -> None:
    lines = explain_policy(union_law(V), V)
    at = lines.index("2. Where processing rests on explicit consent, the consent must be valid now.")
    assert lines[at + 1] == (
        "   In full: No party may process patients' records on any dataset of this site (GDPR 7(3); GDPR 9(2)(a)), "
        "if the legal basis is explicit consent (GDPR 9(2)(a))."
    )
    assert lines[at + 2] == "   This does not count where the state of consent is valid for processing."
    assert any(line.endswith("whatever the circumstances.") for line in lines)


def test_agreements_name_parties_and_times() -> None:
    lines = explain_policy(template("study-agreement"), V)
    assert "It counts from 1 January 2026." in lines
    assert "It no longer counts from 1 January 2031." in lines
    assert any(line.startswith("1. did:web:hub.example may make synthetic data") for line in lines)
    assert "It is given by did:web:hospital.example." in lines
    assert "A day begins and ends at midnight UTC." in lines


def test_a_permit_names_rule_article_fact_and_evidence() -> None:
    lines = decision().sentences()
    assert lines[0].startswith("Permitted: did:web:hub.example asked on 21 November 2026, 10:00 UTC to contribute")
    assert any(line.startswith("The site's policy permits (GDPR 9(2)(j)") for line in lines)
    assert "  – The privacy loss ε of this release is 2, as asked: at most 6." in lines
    assert "  – The number of contributing parties is 3." in lines
    assert any("keep the log" in line and "due 21 November 2027" in line for line in lines)


def test_a_denial_says_what_is_asked_and_what_would_help() -> None:
    lines = decision(request(epsilon=12.0, without=("dpia outcome",))).sentences()
    assert lines[0].startswith("Denied:")
    assert any(line.startswith("Union law forbids (GDPR 35(1); GDPR 35(3)(b)): Training") for line in lines)
    unknown = "Nothing is known about the outcome of the data protection impact assessment"
    assert f"  – {unknown}; it must be risks mitigated or risks acceptable." in lines
    assert "  – The privacy loss ε of this release is 12; it must be at most 6." in lines
    assert "The smallest change that would permit:" in lines


def test_a_forbidden_purpose_is_traced_to_the_article() -> None:
    lines = decision(request(purpose="dpv:TargetedAdvertising")).sentences()
    at = lines.index("Union law forbids (EHDS 54(c)): Advertising and marketing are forbidden.")
    said = "  – The purpose is targeted advertising, which counts as advertising or marketing (Article 54(c))."
    assert lines[at + 1] == said
    assert lines[-1].startswith("Permitted purposes: scientific research in health and care")


def test_open_questions_are_put_plainly() -> None:
    lines = decision(request(purpose="urn:example:x")).sentences()
    judged = "'urn:example:x' is not in the pinned vocabulary, so the purpose cannot be judged"
    assert f"  – {judged}; as long as this is open, the prohibition counts." in lines
    wide = decision(request(purpose="dpv:ScientificResearch")).sentences()
    assert any("too wide to judge; name it more precisely" in line for line in wide)
    untold = decision(request(regime="EHDS")).sentences()
    assert any("Nothing is known about whether the permit says why anonymised data do not" in line for line in untold)
    typed = decision(request(cohort_size=3.5)).sentences()
    assert any("was given as '3.5', which is not a whole number" in line for line in typed)


def test_only_what_carried_the_outcome_is_told() -> None:
    found = decision(request(without=("consent state",)))
    operands = [r.operand for r in found.reasons if r.policy and r.policy.endswith("mgus-consent")]
    assert operands.count(V.operand("legal basis").iri) == 1
    assert V.operand("consent state").iri not in operands  # the other way of "any of" was taken


def test_every_operator_and_datatype_has_words() -> None:
    policy = form("""
permit:
  - action: use
    when:
      purpose is exactly: health research
      disease is not exactly: AML
      output is none of: [personal, masked]
      data category includes all of: [syn:Art51-1-l, syn:Art51-1-f]
      recipient role is part of: participant
      public sector body is: false
      opt-out list age less than: P1DT6H
      dpia review due on or after: 2027-03-05
      time before: "2027-03-05T10:30:00Z"
      earlier uses more than: 2
      plugin digest is any of: [sha256:aa, sha256:bb]
      exactly one of: [{delta is: 0.5}, {isolation level is not exactly: 1}]
""")
    text = "\n".join(explain_policy(policy, V))
    for expected in (
        "the purpose is exactly scientific research in health and care",
        "the disease is other than acute myeloid leukaemia",
        "the kind of output is none of these: personal data or masked contribution to a secure sum",
        "the category of data is such that it includes",
        "the role of the recipient is part of participant of the data space",
        "it is not so that the requester is a public sector body",
        "the age of the opt-out list applied is less than 1 day and 6 hours",
        "is on or after 5 March 2027",
        "the time of the request is before 5 March 2027, 10:30 UTC",
        "the number of earlier uses is more than 2",
        "the digest of the plugin is “sha256:aa” or “sha256:bb”",
        "exactly one of these holds:",
    ):
        assert expected in text
    others = [p for p in all_policies() if p.layer != "L2"]
    assert decide(compile_policies([*others, policy], V), request()).sentences()


def test_the_whole_language_reads_as_plain_english() -> None:
    policy = parse_policy(COMPLETE, V, base="https://hospital.example")
    expected = Path(__file__).with_name("plain-english.txt").read_text(encoding="utf-8")
    assert "\n".join(explain_policy(policy, V)) + "\n" == expected


def test_two_things_of_one_name_keep_their_identifiers() -> None:
    policy = form(
        "targets: [https://a.example/id/dataset/x, https://b.example/id/dataset/x]\npermit: [{action: use}]\n"
    )
    text = "\n".join(explain_policy(policy, V))
    assert "on https://a.example/id/dataset/x and https://b.example/id/dataset/x" in text
    assert "stands for" not in text


def test_choices_of_terms_that_are_lists_themselves_cannot_be_misread() -> None:
    policy = form("permit:\n  - action: use\n    when: {purpose is: [advertising and marketing, statistics]}\n")
    text = "\n".join(explain_policy(policy, V))
    assert "the purpose is one of these: advertising or marketing (Article 54(c)); statistics" in text


def test_an_age_that_only_has_to_be_known_says_so() -> None:
    policy = form("forbid:\n  - action: use\n    unless: {opt-out list age at least: PT0S}\n")
    assert any("unless the age of the opt-out list applied is known" in line for line in explain_policy(policy, V))


def test_moments_are_not_told_as_days() -> None:
    policy = form("permit:\n  - action: use\n    when: {time after: '2027-03-05T00:00:00Z'}\n")
    assert any("is later than 5 March 2027, 00:00 UTC" in line for line in explain_policy(policy, V))


def test_texts_of_others_are_quoted_so_that_their_end_can_be_seen() -> None:
    policy = form("permit:\n  - action: use\n    when: {place is: x}\n".replace("place is", "plugin digest is"))
    assert any("is exactly “x”" in line for line in explain_policy(policy, V))
    tricky = form("permit:\n  - {action: use, duties: {do: inform, shown by: 'a”, or not (to be shown by: “b'}}\n")
    assert any("(to be shown by: “a””, or not (to be shown by: “b”)" in line for line in explain_policy(tricky, V))


def test_a_policy_can_be_filed_as_markdown() -> None:
    outline = policy_outline(parse_policy(COMPLETE, V, base="https://hospital.example"), V)
    text = plain.markdown(outline)
    assert text.startswith("# Research with the registry, version 2")
    assert "\n1. Any member" in text
    assert "\n3. Any member" in text
    assert "\n   - (a) the kind of output is aggregated statistics\n" in text
    assert "\n     - (i) the number of patients" in text
    assert "Digest: `sha256:" in text
    starred = form("permit:\n  - {action: use, sentence: '*Not* <b>bold</b> [link](x)'}\n")
    assert r"\*Not\* \<b\>bold\</b\> \[link\](x)" in plain.markdown(policy_outline(starred, V))


def test_a_policy_can_be_filed_as_a_page_that_needs_nothing_else() -> None:
    text = plain.page(policy_outline(parse_policy(COMPLETE, V, base="https://hospital.example"), V))
    assert text.startswith('<!doctype html>\n<html lang="en-GB">')
    for absent in ("<script", "http-equiv", "<link", "<img", "@import", "url("):
        assert absent not in text
    assert '<ol class="l1"><li>the number of patients' in text
    marked = form("permit:\n  - {action: use, sentence: '<script>x</script>'}\n")
    assert "&lt;script&gt;" in plain.page(policy_outline(marked, V))


def test_many_parts_are_lettered_without_end() -> None:
    conditions = ", ".join(f"{{epsilon at most: {number}}}" for number in range(1, 31))
    policy = form(f"permit:\n  - action: use\n    when: {{any of: [{conditions}]}}\n")
    lines = explain_policy(policy, V)
    assert any(line.startswith("   (z) ") for line in lines)
    assert any(line.startswith("   (aa) ") for line in lines)
    assert [plain.roman(number) for number in (1, 4, 9, 14)] == ["i", "iv", "ix", "xiv"]


def test_an_obligation_tells_what_follows_if_it_is_not_kept() -> None:
    duty = "{do: acknowledge source, when: after, if not kept: inform}"
    body = f"permit: [{{action: use}}]\noblige:\n  - {{action: use, duty: {duty}}}\n"
    others = [policy for policy in all_policies() if policy.layer != "L2"]
    made = decide(compile_policies([*others, form(body)], V), request())
    assert any(
        "If it is not kept, nothing more is permitted until it is done and, besides: inform" in s
        for s in made.sentences()
    )
