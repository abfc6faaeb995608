"""What ``pushkeep doctor`` looks at, as pure rules: what was seen goes in, findings with their remedies come out.

Each module answers for one part: who we are (``identity``), the way to the push services (``services``), a site
(``site``). Nothing here looks at anything itself.
"""
