"""Renting nodes and giving them back: nothing is asked for unrecorded, nothing is believed to be gone unseen.

``start`` writes the intent down before a provider is asked, ``end`` waits for the proof that a node is gone, and
``reconcile`` finishes what a controller that died left half done. How requests reach the servers on the nodes is no
concern of this layer.
"""

from __future__ import annotations

from conduit.provisioning.adopting import living
from conduit.provisioning.budget import LEAST_LIFE_S, LONGEST_LIFE_S, life
from conduit.provisioning.candidate import Candidate, Terms
from conduit.provisioning.creating import start
from conduit.provisioning.ending import end, end_all, remove, sweep, tell
from conduit.provisioning.everywhere import at_each, costs, providers_in_use, reconcile
from conduit.provisioning.exclusive import exclusive, exclusive_now
from conduit.provisioning.keeper import Keeper
from conduit.provisioning.looking import placeholder
from conduit.provisioning.orphans import end_orphans, orphans_among
from conduit.provisioning.reconcile import Reconciled, reconcile_site
from conduit.provisioning.site import Site, off_loop, open_site, site_for

__all__ = [
    "LEAST_LIFE_S",
    "LONGEST_LIFE_S",
    "Candidate",
    "Keeper",
    "Reconciled",
    "Site",
    "Terms",
    "at_each",
    "costs",
    "end",
    "end_all",
    "end_orphans",
    "exclusive",
    "exclusive_now",
    "life",
    "living",
    "off_loop",
    "open_site",
    "orphans_among",
    "placeholder",
    "providers_in_use",
    "reconcile",
    "reconcile_site",
    "remove",
    "site_for",
    "start",
    "sweep",
    "tell",
]
