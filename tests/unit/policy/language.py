"""A policy that uses every construct of the language."""

COMPLETE = """\
policy: registry-research
title: Research with the registry
layer: site
version: 2
inherits: research-base version 3
law: [GDPR 9(2)(j), {act: GDNG, article: "6", eli: "https://law.example/gdng"}]
targets: any dataset in haematology
assigner: did:web:hospital.example
assignees: any member of university-hospitals
effective: {from: 21 November 2026, to: 2028-11-21+01:00}
permit:
  - id: figures
    action:
      - analyse
      - export where:
          output is: aggregate
          any of:
            - cohort size at least: 50 patients
            - exactly one of:
                - epsilon at most: 0.5
                - delta at most: 1e-6
    targets:
      - mgus
      - any dataset in haematology where: {data category is: syn:Art51-1-l}
    assignees:
      any member of university-hospitals where: {recipient role is: researcher}
    when:
      dpia review due on or after: 2027-03-05
      time on or before: 5 March 2028
      epsilon at most: epsilon remaining
    duties:
      - sign agreement
      - do: publish results
        when: after
        within: 548 days
        counted from: completion
        shown by: public reference
        only if: {output is: synthetic}
        if not kept:
          - inform access body
          - {do: return data, shown by: receipt, only if: {output is: personal}}
forbid:
  - id: no-linkage
    action: link
    sentence: The persons were not told of linkage
    when: {special category is: true}
    unless: {ethics approval is: yes}
    if violated:
      - delete
      - do: inform
        shown by: letter
        only if: {data category is: genomic data}
oblige:
  - id: log
    action: export
    duty:
      do: keep log
      when: after
      within: 1 day, 6 hours and 5 minutes
      counted from: release
      only if: {public sector body is: no}
      if not kept: {do: inform, only if: {any of: [{disease is: AML}, {disease is: MGUS}]}}
confirmed:
  epsilon: Opinion of the methods board
"""
