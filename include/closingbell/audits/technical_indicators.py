"""Audit of closingbell.technical_indicators."""

from closingbell.audits.rules import COMPUTED_COMPLETE, COMPUTED_FULL, TableAudit

AUDIT = TableAudit(
    row_rules={
        "oscillators_in_range": (
            "rsi_14 BETWEEN -1e-6 AND 100.000001 AND stochastic_k BETWEEN -1e-6 AND 100.000001 "
            "AND stochastic_d BETWEEN -1e-6 AND 100.000001 AND adx_14 BETWEEN -1e-6 AND 100.000001"
        ),
        "averages_positive": "sma_20 > 0 AND sma_50 > 0 AND sma_200 > 0 AND ema_12 > 0 AND ema_26 > 0",
        "bollinger_in_order": (
            "bollinger_lower <= bollinger_middle + 1e-9 * bollinger_middle "
            "AND bollinger_middle <= bollinger_upper + 1e-9 * bollinger_upper"
        ),
        "spreads_not_negative": "atr_14 >= 0 AND volatility_20 >= 0 AND volume_sma_20 >= 0",
        "returns_above_minus_one": "return_1m > -1 AND return_3m > -1 AND return_6m > -1 AND return_12m > -1",
        "bars_in_window": "bars BETWEEN 1 AND 400",
    },
    expectations=(COMPUTED_COMPLETE, COMPUTED_FULL),
)
