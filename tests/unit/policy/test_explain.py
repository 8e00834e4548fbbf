from __future__ import annotations

from synthema.policy import compile_policies, decide, explain_policy, union_law
from tests.unit.policy.sample import V, all_policies, decision, form, request, template


def test_a_policy_reads_like_sentences() -> None:
    text = "\n".join(explain_policy(template("research-synthetic-data"), V))
    for expected in (
        "Synthetic data for research, version 1 (layer: site, L2).",
        "It rests on GDPR 9(2)(j), GDPR 89(1) and EHDS 53(1)(e).",
        "Any party may make synthetic data or contribute a protected update to a federated study on any dataset",
        "  – the privacy loss ε of this release is at most 6",
        "  – the privacy loss ε of this release is at most the privacy loss ε that is left in the budget",
        "  – the privacy failure probability δ is at most 0.00001",
        "Duty: Afterwards, publish the results, within 548 days of completion",
        "Nobody may try to identify patients in data, models or synthetic data of this site.",
        "The data protection officer confirms the threshold for the number of contributing parties",
    ):
        assert expected in text


def test_law_is_explained_with_exceptions() -> None:
    lines = explain_policy(union_law(V), V)
    at = lines.index("Where processing rests on explicit consent, the consent must be valid now.")
    assert lines[at + 1].endswith("(GDPR 7(3); GDPR 9(2)(a)), if this holds:")
    assert lines[at + 2 : at + 5] == (
        "  – the legal basis is explicit consent (GDPR 9(2)(a))",
        "Unless this holds:",
        "  – the state of consent is valid for processing",
    )
    assert any(line.endswith("whatever the circumstances.") for line in lines)


def test_agreements_name_parties_and_times() -> None:
    lines = explain_policy(template("study-agreement"), V)
    assert "It counts from 1 January 2026." in lines
    assert "It no longer counts from 1 January 2031." in lines
    assert any(line.startswith("did:web:hub.example may make synthetic data") for line in lines)


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
    typed = decision(request(cohort_size=3.5)).sentences()
    assert any("was given as '3.5', which is not a whole number" in line for line in typed)


def test_only_what_carried_the_outcome_is_told() -> None:
    operands = [r.operand for r in decision().reasons if r.policy and r.policy.endswith("mgus-consent")]
    assert V.operand("legal basis").iri in operands
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
        "the digest of the plugin is sha256:aa or sha256:bb",
        "exactly one of these holds:",
    ):
        assert expected in text
    others = [p for p in all_policies() if p.layer != "L2"]
    assert decide(compile_policies([*others, policy], V), request()).sentences()
