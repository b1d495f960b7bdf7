"""What one compilation starts from: a profile, all rules that go with it, and the catalog."""

from __future__ import annotations

from dataclasses import dataclass, replace

from etracee.catalog import Catalog, fit_catalog, load_catalog
from etracee.catalog.fit import Kernel
from etracee.problems import ProblemsError
from etracee.profile import Profile, read_profile
from etracee.profile.families import expand_families
from etracee.profile.written import Located
from etracee.rules import RuleSet, load_rules


@dataclass(frozen=True)
class SourceSet:
    """The input of make_plan()."""

    profile: Profile
    rules: RuleSet
    catalog: Catalog


def load_source_set(
    profile: str, rules: tuple[str, ...], arch: str | None = None, kernel: Kernel | None = None
) -> SourceSet:
    """Read the profile and all rules, its own and the named; ProblemsError if they are wrong.

    What does not keep more from being found wrong is among the profile's `problems`, for
    make_plan(), which finds the rest. With a kernel, the catalog has only what that can show.
    """
    loaded = read_profile(profile)
    named = (*loaded.rules, *(Located(name) for name in rules))
    catalog = load_catalog(arch) if arch else load_catalog()
    fitting = fit_catalog(catalog, kernel) if kernel else catalog
    try:
        found = load_rules(named)
    except ProblemsError as error:
        loaded = replace(loaded, problems=(*loaded.problems, *error.problems))
        found = RuleSet()
    return SourceSet(expand_families(loaded, fitting), found, fitting)
