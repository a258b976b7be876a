"""The numbers the simulated world is made of, each with its meaning and where it comes from.

"Measured" means: set so that the world shows what ETH and BTC perpetuals (2023-01 .. 2024-02) and every Ethereum block
(2023-10 .. 2024-02) showed. Order flow has no public record of its own: its shape lies between two public request
streams (a social stream's counts by the second, a language model service's arrivals); its tiers are our assumption.
"""

import math
from dataclasses import dataclass, field

from data.world.episodes import Episode

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86400.0


@dataclass(frozen=True)
class Swing:
    """A disturbance that forgets: its standard deviation, and the time in which it fades to 1/e of itself."""

    deviation: float
    memory_s: float


@dataclass(frozen=True)
class Echo:
    """Self-excitation: each event begets `children` more on average, after delays of exponential mean `delay_s`."""

    children: float
    delay_s: float


@dataclass(frozen=True)
class Market:
    """Prices of ETH and BTC: log-volatility on several time scales, a season, and jumps that come in clusters."""

    start_usd: tuple[float, float] = (2300.0, 42000.0)
    log_volatility: float = -6.75  # median ln of the 5-minute volatility of ETH; measured by the range of its bars
    btc_ratio: float = 0.86  # volatility of BTC over that of ETH; measured
    correlation: float = 0.86  # of 5-minute returns; measured 0.85
    lead_s: float = 10.0  # `led_share` of a BTC move reaches ETH this much later; bars of 5 minutes hardly show it
    led_share: float = 0.3
    # Time scales that reproduce the measured autocorrelation of log range (0.69 at 5 min, 0.52 at 1 h, 0.35 at 6 h over all
    # 14 months; 0.63, 0.44 and 0.26 while there are blocks), and leave the onset of spikes as hard to foresee as measured.
    slow: Swing = Swing(0.30, 8 * DAY_S)
    medium: Swing = Swing(0.30, 5 * HOUR_S)
    fast: Swing = Swing(0.22, 30 * MINUTE_S)
    flicker: Swing = Swing(0.32, 3 * MINUTE_S)
    own: Swing = Swing(0.33, HOUR_S)  # of BTC alone; measured correlation of the log ranges 0.84
    # Mean ln range by hour of day (UTC) and by weekday from Monday, less the mean; measured on ETH.
    hours: tuple[float, ...] = (
        *(0.12, 0.07, -0.09, -0.26, -0.36, -0.30, -0.25, -0.24, -0.12, -0.12, -0.20, -0.16),
        *(0.03, 0.17, 0.39, 0.39, 0.30, 0.24, 0.17, 0.16, 0.11, 0.04, -0.02, -0.05),
    )
    weekdays: tuple[float, ...] = (0.10, 0.09, 0.14, 0.16, 0.12, -0.34, -0.26)
    # Most violent bars come out of the blue (measured kurtosis 157 to 500; a boosted classifier's PR-AUC of onsets is 0.109
    # [0.086, 0.142] on history, and 0.126 on average over worlds of eight seeds, 0.092 to 0.161, where 2.2 and 2.5 times
    # chance are the lifts): jumps hardly know how volatile it is, most are small and a few are huge.
    jumps_per_day: float = 5.0  # that start a cluster; with echoes a quarter more
    jump_echo: Echo = Echo(0.2, 4 * MINUTE_S)
    jump_scale: float = 3.6  # mean of |jump|, in 5-minute volatilities
    jump_shape: float = 0.3  # of the gamma law of |jump|; 1 is exponential
    jump_rate_pull: float = 0.0  # power of the moment's volatility that the rate of jumps goes with
    jump_size_pull: float = 0.2  # the same for their size
    jump_spread_s: float = 15.0  # a jump is a run of trades, not a point
    shock: float = 0.20  # volatility added by a jump of mean size, in calm volatilities
    shock_memory_s: float = 25 * MINUTE_S
    # ln volume in coins = intercept + slope * ln range; measured, with what is left over.
    volume_intercept: tuple[float, float] = (16.21, 13.81)
    volume_slope: tuple[float, float] = (1.05, 0.99)
    volume_swing: Swing = Swing(0.40, DAY_S)
    volume_noise: float = 0.28
    funding_mean: float = 8e-5  # per 8 h; measured mean 8e-5, deviation 9e-5, autocorrelation 0.75
    funding_swing: Swing = Swing(8e-5, 28 * HOUR_S)
    funding_pull: float = 4e-4  # funding added per unit of the day's log return


@dataclass(frozen=True)
class Chain:
    """Blocks under EIP-1559: gas demand falls with the base fee around a moving equilibrium fee."""

    gas_limit: int = 30_000_000
    slot_s: int = 12
    missed: float = 0.0091  # share of slots without a block; measured
    first_number: int = 18_900_000
    log_fee: float = 3.4  # median ln equilibrium fee in gwei with no burst and no market; measured median fee 26 gwei
    # Gas wanted is gas_limit / 2 * exp(elasticity * (equilibrium - ln fee)); measured: utilisation's lag-1
    # autocorrelation is -0.17, that of the steady state with this elasticity.
    elasticity: float = 3.2
    block_noise: float = 0.33  # deviation of ln gas wanted from block to block; measured spread of utilisation 0.18
    slow: Swing = Swing(0.55, 8 * DAY_S)
    medium: Swing = Swing(0.20, 3 * HOUR_S)
    fast: Swing = Swing(0.06, 15 * MINUTE_S)
    # Mean ln base fee by hour of day (UTC), less the mean; measured.
    hours: tuple[float, ...] = (
        *(-0.11, -0.16, -0.17, -0.18, -0.25, -0.26, -0.24, -0.20, -0.14, -0.10, -0.11, -0.11),
        *(-0.01, 0.15, 0.28, 0.35, 0.37, 0.33, 0.22, 0.18, 0.13, 0.09, 0.02, -0.07),
    )
    wars_per_day: float = 4.3  # gas wars (mints, drops) with no cause in the market; most surges have none
    war_scale: float = 0.42  # exponential mean of the rise of ln equilibrium fee
    war_rise_s: float = 150.0
    war_memories_s: tuple[float, ...] = (6 * MINUTE_S, 25 * MINUTE_S, 100 * MINUTE_S)
    war_shares: tuple[float, ...] = (0.35, 0.45, 0.20)
    # The market's part: excess ln volatility of the last minutes over that of the day, beyond a threshold, delayed.
    # Measured: a fee surge follows 42, 21 and 16 % of the most violent 0.1, 0.5 and 1 % of bars, 2 % of the others.
    market_gain: float = 0.88
    market_threshold: float = 0.5
    market_delay_s: float = 90.0
    market_level: float = 0.7  # share of the slow log-volatility in the equilibrium; measured level correlation 0.39


@dataclass(frozen=True)
class OrderTier:
    """Orders of one tier: their calm rate, and how strongly (in ln rate) they answer to what goes on."""

    name: str
    rate_per_s: float
    heat: float  # per unit of ln volatility above that of the day
    fees: float  # per unit of ln base fee above that of the last hours
    frenzy: float  # share of a frenzy's size that adds to the rate, relative to the calm rate
    cascade: float  # the same for liquidation cascades
    clock: float  # the same for the settlement rush at funding times


@dataclass(frozen=True)
class Orders:
    """Order arrivals by tier. Surges build up over tens of seconds to minutes, but some break out at once."""

    # Alphabetical, as the table's rows are within a second.
    tiers: tuple[OrderTier, ...] = (
        OrderTier("bulk", 8.0, heat=0.05, fees=-0.40, frenzy=0.3, cascade=0.0, clock=1.6),
        OrderTier("critical", 0.6, heat=0.90, fees=0.20, frenzy=0.5, cascade=9.0, clock=0.4),
        OrderTier("hedge", 4.0, heat=0.60, fees=0.15, frenzy=0.8, cascade=1.5, clock=1.0),
        OrderTier("maker", 24.0, heat=0.35, fees=0.05, frenzy=1.0, cascade=0.4, clock=0.8),
        OrderTier("taker", 12.0, heat=0.50, fees=-0.10, frenzy=1.6, cascade=0.8, clock=1.0),
    )
    # ln rate by hour of day (UTC), less the mean: the hours of the market, a little damped.
    hours: tuple[float, ...] = (
        *(0.06, 0.03, -0.06, -0.16, -0.22, -0.19, -0.16, -0.15, -0.09, -0.07, -0.08, -0.06),
        *(0.02, 0.12, 0.25, 0.27, 0.22, 0.18, 0.13, 0.11, 0.08, 0.04, -0.01, -0.03),
    )
    slow: Swing = Swing(0.15, 3 * HOUR_S)
    medium: Swing = Swing(0.11, 8 * MINUTE_S)
    build_up_s: float = (
        60.0  # over which the medium swing is smoothed: a rise goes on for about as long as it has lasted
    )
    flutter: Swing = Swing(0.05, 8.0)
    heat_memory_s: float = 40.0  # over which traders feel the volatility
    heat_share: float = 1.0  # of every tier's answer to the heat of the market; 0 makes orders deaf to it
    # Frenzies: attention feeding on itself. Each rises to its peak and fades like t^2 exp(-2 t / peak).
    frenzies_per_day: float = 5.0
    frenzy_scale: float = 1.2  # mean of the peak, in calm rates
    frenzy_shape: float = 2.5  # of its gamma law: few are so small that they come to nothing
    frenzy_echo: Echo = Echo(0.45, 4 * MINUTE_S)
    frenzy_peaks_s: tuple[float, ...] = (120.0, 220.0, 400.0)
    frenzy_shares: tuple[float, ...] = (0.35, 0.40, 0.25)
    # Outbreaks: nothing announces them (a listing, a broken bot); full at once, then fading.
    outbreaks_per_day: float = 1.0
    outbreak_scale: float = 0.9
    outbreak_memory_s: float = 75.0
    # Cascades: jumps of the price set off liquidations, whose peak comes tens of seconds later.
    cascade_scale: float = 1.0  # of a jump of mean size
    cascade_peak_s: float = 30.0
    cascade_memory_s: float = 100.0
    # Rushes on the clock: at every full hour (settlement, rebalancing) and more at funding times; sizes are lognormal.
    hour_rush: float = 0.45
    funding_rush: float = 0.8
    rush_spread: float = 0.35
    rush_rise_s: float = 45.0
    rush_fade_s: float = 120.0


@dataclass(frozen=True)
class Ticket:
    """What single orders of a tier are like: medians, of lognormal laws unless said otherwise. All are our assumption.

    `delta_usd` and `gamma_usd`: what the sender gains or loses for 1 % of the price, and how much that changes (0: unknown).
    """

    tier: str
    work: float  # mean service demand; exponential around half of it
    value_usd: float
    deadline_s: float
    delta_usd: float = 0.0
    gamma_usd: float = 0.0


@dataclass(frozen=True)
class Tickets:
    """Single orders by tier, in the order of the tiers' names, and how widely they differ."""

    kinds: tuple[Ticket, ...] = (
        Ticket("bulk", 0.8, 0.5, 120.0),
        Ticket("critical", 2.0, 400.0, 6.0, 1500.0, 0.0),
        Ticket("hedge", 1.2, 45.0, 10.0, 400.0, 60.0),
        Ticket("maker", 0.5, 3.0, 2.0),
        Ticket("taker", 1.0, 12.0, 15.0),
    )
    spread: float = 1.0  # deviation of ln value and of ln delta
    patience: float = 0.35  # deviation of ln deadline
    eth_share: float = 0.55


@dataclass(frozen=True)
class Book:
    """Leveraged positions, by symbol: accounts come, stay for a while and leave, or are liquidated on their way.

    Nobody publishes such a book: the law of leverages and sizes is our assumption, in the range that venues report.
    """

    accounts: int = 300  # open on average
    stay_s: float = 18 * HOUR_S  # exponential mean
    leverages: tuple[float, ...] = (2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
    leverage_shares: tuple[float, ...] = (0.12, 0.20, 0.28, 0.24, 0.12, 0.04)
    maintenance: float = 0.005  # margin that a position must keep, share of its notional
    median_usd: float = 150_000.0  # of a position's notional
    spread: float = 1.4  # deviation of its natural logarithm
    largest_usd: float = 2e7
    trend: float = 12.0  # logit of the share of longs among newcomers, per unit of the log return of the last 6 h
    # Notional in USD that moves ln price by 1 when it is sold at once. Without bound the book only watches: the jumps of
    # the measured market, and their echoes, hold what liquidations did to prices. Scenarios give it a bound.
    depth_usd: float = math.inf
    spread_s: float = 10.0  # over which a forced order is worked off
    lasting: float = 0.5  # share of its impact that stays; the rest recovers
    recovery_s: float = 5 * MINUTE_S
    spill: float = 0.5  # share of an impact that the other symbol feels
    rush: float = 0.12  # forced orders that an impact calls for, over those of a jump of its size
    snapshot_s: int = 3600  # the book is written down this often


@dataclass(frozen=True)
class Pool:
    """Pending transactions of the chain: bids spread around the equilibrium fee, those who wait, those who give up."""

    gas_each: float = 105_000.0  # mean gas of a transaction; mainnet shows 100,000 to 110,000
    most: float = 3.0  # gas of those in a hurry, by block, over the target
    waiting: float = 1.5  # the same of those who wait for a low fee
    swing: Swing = Swing(0.3, 2 * HOUR_S)  # of its natural logarithm
    patience_s: float = 25 * MINUTE_S  # exponential mean until a pending transaction is replaced or dropped
    tip_gwei: float = 0.1  # the least tip that a block takes
    # Edges of the fee bands in gwei; the ones of the canonical table are among them.
    edges_gwei: tuple[float, ...] = (
        *(1.0, 2.0, 3.5, 5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 38.0, 50.0, 70.0, 100.0, 150.0),
        *(220.0, 350.0, 600.0, 1200.0),
    )
    sample_s: int = 60


@dataclass(frozen=True)
class Node:
    """A settlement node at its best: what it takes in orders per second, answers in, and charges beside the chain's gas."""

    name: str
    chain: str
    operator: str
    region: str
    capacity_per_s: float
    latency_s: float
    fee_usd: float
    brownouts_per_day: float
    outages_per_day: float


@dataclass(frozen=True)
class Network:
    """Nodes of several operators, regions and chains. Rates of failure are our assumption (an hour or two a month down)."""

    nodes: tuple[Node, ...] = (
        Node("l1-east", "ethereum", "northwind", "us-east", 12.0, 1.6, 0.02, 0.2, 0.05),
        Node("l1-west", "ethereum", "tidal", "eu-west", 9.0, 1.9, 0.01, 0.3, 0.10),
        Node("amber-1", "amber", "northwind", "us-east", 45.0, 0.35, 0.012, 0.4, 0.10),
        Node("amber-2", "amber", "tidal", "eu-west", 40.0, 0.45, 0.010, 0.4, 0.10),
        Node("amber-3", "amber", "kestrel", "ap-north", 30.0, 0.60, 0.009, 0.6, 0.20),
        Node("basalt-1", "basalt", "kestrel", "us-east", 60.0, 0.25, 0.004, 0.7, 0.20),
        Node("basalt-2", "basalt", "kestrel", "eu-west", 50.0, 0.30, 0.003, 0.7, 0.20),
        Node("basalt-3", "basalt", "tidal", "ap-north", 35.0, 0.55, 0.003, 0.9, 0.30),
    )
    # Gas of the settlement chain that one order pays for: all of it on the chain itself, a batch's share elsewhere.
    gas_per_order: float = 90_000.0
    batched: float = 0.003
    brownout_depth: float = 1.1  # exponential mean of -ln capacity that a brownout begins with
    brownout_most: float = 2.5
    brownout_memory_s: float = 15 * MINUTE_S
    outage_s: float = 12 * MINUTE_S  # exponential mean
    wobble: Swing = Swing(0.06, 20 * MINUTE_S)  # of ln capacity
    latency_swing: Swing = Swing(0.18, 5 * MINUTE_S)
    crowding: float = 0.6  # ln latency per unit of ln base fee above that of the last hours, on the settlement chain
    sample_s: int = 60


@dataclass(frozen=True)
class World:
    """Everything the generator needs to know beside the seed; `step_s` is the grid of what is not seen directly."""

    step_s: int = 5
    market: Market = field(default_factory=Market)
    chain: Chain = field(default_factory=Chain)
    orders: Orders = field(default_factory=Orders)
    tickets: Tickets = field(default_factory=Tickets)
    book: Book = field(default_factory=Book)
    pool: Pool = field(default_factory=Pool)
    network: Network = field(default_factory=Network)
    episodes: tuple[Episode, ...] = ()
