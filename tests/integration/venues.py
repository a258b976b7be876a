"""Parts of a configuration that several integration tests write."""

from shaper.venue import Tier

TIER = """
[[venue.tiers]]
name = "{tier.name}"
priority = {tier.priority}
delay_cost_usd_per_s = {tier.delay_cost_usd_per_s}
reject_cost_usd = {tier.reject_cost_usd}
deadline_s = {tier.deadline_s}
floor_share = {tier.floor_share}
demand_share = {tier.demand_share}
"""


def tier_section(tier: Tier) -> str:
    """A tier as a table of TOML."""
    return TIER.format(tier=tier)
