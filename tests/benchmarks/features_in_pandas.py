"""The features of the panel task as a good pandas user would write them: vectorised, and nothing computed twice."""

import math

import numpy as np
import pandas as pd

DAY, SURGE, MONTH, PAYMENT = 288, 72, 8640, 96  # ticks of five minutes
Features = dict[str, pd.Series]


def enough(window: int) -> int:
    return max(1, window // 4)


def mean(value: pd.Series, window: int) -> pd.Series:
    return value.rolling(window, min_periods=enough(window)).mean()


def most(value: pd.Series, window: int) -> pd.Series:
    return value.rolling(window, min_periods=enough(window)).max()


def z_score(value: pd.Series, window: int = DAY) -> pd.Series:
    rolling = value.rolling(window, min_periods=enough(window))
    return (value - rolling.mean()) / rolling.std(ddof=0).clip(lower=1e-3)


def log_volatility(ticks: pd.DataFrame, role: str) -> pd.Series:
    parkinson = np.log(ticks[f"{role}_high"] / ticks[f"{role}_low"]) / math.sqrt(4 * math.log(2))
    return np.log(parkinson.clip(lower=1e-5))


def volatility(ticks: pd.DataFrame) -> Features:
    eth, btc = log_volatility(ticks, "eth"), log_volatility(ticks, "btc")
    price, volume = np.log(ticks["eth_close"]), np.log(ticks["eth_volume"].clip(lower=1e-9))
    limit = eth.rolling(MONTH, min_periods=3 * DAY).quantile(0.995)
    return {
        "eth_log_volatility": eth,
        **{f"eth_log_volatility_mean_{n}": mean(eth, n) for n in (3, 12, 36, 72, 288)},
        "eth_log_volatility_max_12": most(eth, 12),
        "eth_log_volatility_day_ago": eth.shift(DAY),
        **{f"eth_move_{n}": price.diff(n).abs() for n in (1, 12)},
        "eth_log_volume_gap": volume - mean(volume, DAY),
        "eth_volatility_threshold": limit,
        "eth_volatility_gap": limit - eth,
        "btc_log_volatility": btc,
        "btc_log_volatility_mean_12": mean(btc, 12),
    }


def surge_level(ticks: pd.DataFrame) -> pd.Series:
    return np.log(np.exp(ticks["log_base_fee"]).rolling(SURGE, min_periods=SURGE // 2).median())


def congestion(ticks: pd.DataFrame, level: pd.Series) -> Features:
    fee, used = ticks["log_base_fee"], ticks["utilisation"]
    limit = level + math.log(2.0)
    return {
        "log_base_fee": fee,
        **{f"log_base_fee_mean_{n}": mean(fee, n) for n in (3, 12, 36, 72, 288)},
        "log_next_base_fee": ticks["log_next_base_fee"],
        "log_base_fee_last_gap": ticks["log_base_fee_last"] - fee,
        **{f"log_base_fee_change_{n}": fee.diff(n) for n in (1, 3, 12)},
        "congestion_threshold": limit,
        "congestion_calm": level + math.log(1.5),
        "congestion_gap": limit - fee,
        "utilisation": used,
        **{f"utilisation_mean_{n}": mean(used, n) for n in (3, 12)},
        "full_share": ticks["full_share"],
    }


def calendar(ticks: pd.DataFrame) -> Features:
    now_s = ticks["tick"].astype("int64") // 1000
    found = {}
    for name, period_s in (("hour", 3600), ("day", 86400), ("week", 604800)):
        angle = (now_s % period_s) * (2 * math.pi / period_s)
        found |= {f"sin_of_{name}": np.sin(angle), f"cos_of_{name}": np.cos(angle)}
    return {**found, "to_funding_s": (28800 - now_s % 28800).astype(float)}


def log_deviation(variance: pd.Series) -> pd.Series:
    return np.log(variance.clip(lower=1e-6)) * 0.5


def variances(ticks: pd.DataFrame, square: pd.Series) -> Features:
    width = np.log(ticks["eth_high"] / ticks["eth_low"]) * 100
    body = np.log(ticks["eth_close"] / ticks["eth_open"]) * 100
    candle = width**2 / 2 - body**2 * (2 * math.log(2) - 1)
    return {
        **{f"eth_log_realised_{n}": log_deviation(mean(square, n)) for n in (1, 3, 12, 72, 288)},
        **{f"eth_log_garman_klass_{n}": log_deviation(mean(candle, n)) for n in (1, 12, 72)},
    }


def halves(own: pd.Series) -> Features:
    up, down = own.clip(lower=0) ** 2, (-own).clip(lower=0) ** 2
    found = {}
    for n in (12, 72):
        rise, fall = mean(up, n), mean(down, n)
        total = rise + fall
        found |= {
            f"eth_log_rise_{n}": log_deviation(rise),
            f"eth_log_fall_{n}": log_deviation(fall),
            f"eth_fall_share_{n}": (fall / total).where(total > 0),
        }
    return found


def jumps(own: pd.Series, square: pd.Series) -> Features:
    size = own.abs()
    bipower, found = size * size.shift(1) * (math.pi / 2), {}
    for n in (12, 72, 288):
        total = mean(square, n)
        found[f"eth_jump_share_{n}"] = ((total - mean(bipower, n)) / total).where(total > 0).clip(lower=0)
    return found


def realised(ticks: pd.DataFrame) -> Features:
    price = {role: np.log(ticks[f"{role}_close"]) for role in ("eth", "btc")}
    moves = {(role, n): value.diff(n) * 100 for role, value in price.items() for n in (1, 3, 12)}
    own, square = moves["eth", 1], moves["eth", 1] ** 2
    shock = {role: z_score(log_volatility(ticks, role)) for role in ("eth", "btc")}
    return {
        **variances(ticks, square),
        **halves(own),
        **jumps(own, square),
        "eth_range_shock": shock["eth"],
        "eth_volume_shock": z_score(np.log(ticks["eth_volume"].clip(lower=1e-9))),
        **{f"btc_return_{n}": moves["btc", n] for n in (1, 3)},
        **{f"btc_return_lead_{n}": moves["btc", n] - moves["eth", n] for n in (1, 3, 12)},
        "btc_range_shock": shock["btc"],
        "btc_range_shock_lead": shock["btc"] - shock["eth"],
    }


def blockspace(ticks: pd.DataFrame, level: pd.Series) -> Features:
    fee, coming, bid = ticks["log_base_fee"], ticks["log_next_base_fee"], ticks["log_bid"]
    change = {n: fee.diff(n) for n in (1, 3, 12)}
    low, middle, high = (np.log(ticks[f"tip_p{p}"].clip(lower=1e-3)) for p in (10, 50, 90))
    count, interval = np.log(ticks["block_tx_count"].clip(lower=1)), ticks["block_interval_mean_s"]
    return {
        **{f"base_fee_velocity_{n}": coming - fee.shift(n) for n in change},
        **{f"base_fee_acceleration_{n}": change[n].diff(n) for n in change},
        "surge_ratio": fee - level,
        "surge_ratio_next": coming - level,
        "surge_ratio_max_12": most(fee - level, 12),
        "full_run": ticks["full_run"],
        "full_run_most": ticks["full_run_most"],
        "full_run_most_12": most(ticks["full_run_most"], 12),
        **{f"full_share_mean_{n}": mean(ticks["full_share"], n) for n in (3, 12, 72)},
        "log_bid": bid,
        **{f"log_bid_gap_{name}": bid - mean(bid, n) for name, n in (("12", 12), ("day", DAY))},
        "log_bid_most_gap": ticks["log_bid_most"] - bid,
        "log_tip": middle,
        "log_tip_gap_day": middle - mean(middle, DAY),
        "log_tip_spread": high - low,
        "log_tip_over_base_fee": middle - ticks["log_base_fee_last"],
        "block_interval_mean_s": interval,
        "block_interval_most_s": ticks["block_interval_most_s"],
        "block_interval_gap_s": interval - mean(interval, DAY),
        "log_tx_count": count,
        "log_tx_count_gap_day": count - mean(count, DAY),
    }


def funding(ticks: pd.DataFrame) -> Features:
    rate, other = (ticks[f"{role}_funding_rate"] * 1e4 for role in ("eth", "btc"))
    left_s = (ticks["eth_funding_interval_s"] - ticks["eth_funding_age_s"]).clip(lower=0)
    held = np.log(ticks["eth_open_interest"].clip(lower=1e-9))
    return {
        "eth_funding_bp": rate,
        "eth_funding_change_bp": rate.diff(PAYMENT),
        "eth_funding_gap_day_bp": rate - mean(rate, DAY),
        "eth_hours_to_funding": left_s / 3600,
        "btc_funding_gap_bp": other - rate,
        **{f"eth_open_interest_change_{name}": held.diff(n) for name, n in (("1", 1), ("12", 12), ("day", DAY))},
        "eth_open_interest_shock": z_score(held),
    }


FAMILIES = {
    "volatility": volatility,
    "congestion": lambda ticks: congestion(ticks, surge_level(ticks)),
    "calendar": calendar,
    "realised": realised,
    "blockspace": lambda ticks: blockspace(ticks, surge_level(ticks)),
    "funding": funding,
}


def family(name: str, ticks: pd.DataFrame) -> pd.DataFrame:
    """The features of one family."""
    return pd.DataFrame(FAMILIES[name](ticks))


def every(ticks: pd.DataFrame) -> pd.DataFrame:
    """The features of all families, in the order of their names above."""
    level = surge_level(ticks)
    return pd.DataFrame(
        {
            **volatility(ticks),
            **congestion(ticks, level),
            **calendar(ticks),
            **realised(ticks),
            **blockspace(ticks, level),
            **funding(ticks),
        }
    )
