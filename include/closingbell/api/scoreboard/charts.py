"""A stock's charts, as BokehJS takes them. In: `stock.prices_of`, rows of api_history.sql. Out: JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

from closingbell.scores.compute import RATINGS

Theme = Literal["light", "dark"]

_COLOURS: dict[Theme, dict[str, str]] = {
    "light": {
        "ink": "#17202b", "dim": "#5c6877", "grid": "#e3e7ec", "close": "#17202b", "band": "#7f9cc4", "fast": "#b35c00",
        "middle": "#0b6bcb", "slow": "#7b3fa0", "up": "#1a7f42", "down": "#b3261e",
    },
    "dark": {
        "ink": "#e8ecf2", "dim": "#9aa6b6", "grid": "#2b323e", "close": "#f2f5f9", "band": "#5f82b5", "fast": "#f0a04b",
        "middle": "#5cb0ff", "slow": "#c58ae6", "up": "#5fd38d", "down": "#ff8a80",
    },
}  # fmt: skip
_PRICES = (
    "close", "volume", "sma_20", "sma_50", "sma_200", "bollinger_lower", "bollinger_upper", "rsi_14", "macd",
    "macd_signal", "macd_histogram",
)  # fmt: skip
HISTORY_MARGIN = 12.0
"""Points shown below the lowest score and above the highest."""
_LINES = (("sma_20", "SMA 20", "fast"), ("sma_50", "SMA 50", "middle"), ("sma_200", "SMA 200", "slow"))


def prices(rows: Sequence[dict[str, Any]], theme: Theme, wide: bool = False) -> dict[str, Any]:
    """Close with averages and Bollinger bands, RSI and MACD below it, over one range of sessions."""
    from bokeh.layouts import column
    from bokeh.models import BoxAnnotation, HoverTool, Range1d, Span

    colours = _COLOURS[theme]
    source = _source(rows, _PRICES)
    first, last = _moment(rows[0]["session"]), _moment(rows[-1]["session"])
    shown = Range1d(first, last, name="sessions")
    price, rsi, macd = (_figure(theme, shown, height, wide) for height in (340, 120, 150))
    price.xaxis.visible = rsi.xaxis.visible = False  # that of MACD below them is theirs

    price.varea(
        "session",
        "bollinger_lower",
        "bollinger_upper",
        source=source,
        fill_color=colours["band"],
        fill_alpha=0.18,
        legend_label="Bollinger",
    )
    for name, label, colour in _LINES:
        price.line("session", name, source=source, color=colours[colour], line_width=1.4, legend_label=label)
    close = price.line("session", "close", source=source, color=colours["close"], line_width=2, legend_label="Close")
    price.y_range.only_visible = True
    price.yaxis.axis_label = "USD a share"
    price.add_tools(
        HoverTool(
            renderers=[close],
            mode="vline",
            formatters={"@session": "datetime"},
            tooltips=[
                ("Session", "@session{%F}"),
                ("Close", "@close{0,0.00}"),
                *((label, f"@{name}{{0,0.00}}") for name, label, _ in _LINES),
                ("Bollinger bands", "@bollinger_lower{0,0.00} to @bollinger_upper{0,0.00}"),
                ("RSI(14)", "@rsi_14{0.0}"),
                ("MACD, its signal", "@macd{0.000}, @macd_signal{0.000}"),
                ("Volume", "@volume{0.0a}"),
            ],
        )
    )
    _legend(theme, price, wide)

    rsi.line("session", "rsi_14", source=source, color=colours["middle"], line_width=1.5)
    rsi.add_layout(BoxAnnotation(bottom=30, top=70, fill_color=colours["band"], fill_alpha=0.12, line_alpha=0))
    rsi.y_range.start, rsi.y_range.end = 0, 100
    rsi.yaxis.ticker = [30, 50, 70]
    rsi.yaxis.axis_label = "RSI(14)"

    rising = [colours["up" if (row["macd_histogram"] or 0) >= 0 else "down"] for row in rows]
    source.data["rising"] = rising
    macd.vbar("session", 18 * 3600e3, "macd_histogram", source=source, color="rising", fill_alpha=0.6, line_alpha=0)
    for name, label, colour in (("macd", "MACD", "middle"), ("macd_signal", "Signal", "fast")):
        macd.line("session", name, source=source, color=colours[colour], line_width=1.4, legend_label=label)
    _legend(theme, macd, wide)
    macd.add_layout(Span(location=0, dimension="width", line_color=colours["dim"], line_width=1))
    macd.y_range.only_visible = True
    macd.yaxis.axis_label = "MACD"
    return _document(column(price, rsi, macd, sizing_mode="stretch_width", spacing=0))


def history(rows: Sequence[dict[str, Any]], theme: Theme, wide: bool = False) -> dict[str, Any]:
    """The overall score, session by session, over the bands of the ratings that it came near."""
    from bokeh.models import HoverTool, Label, Range1d, Span

    colours = _COLOURS[theme]
    source = _source(rows, ("overall_score", "rating"))
    aside = 10 * 86400e3 if len(rows) == 1 else 0
    shown = Range1d(_moment(rows[0]["session"]) - aside, _moment(rows[-1]["session"]) + aside)
    figure = _figure(theme, shown, 220, wide)
    scores = [row["overall_score"] for row in rows]
    bottom, top = max(0.0, min(scores) - HISTORY_MARGIN), min(100.0, max(scores) + HISTORY_MARGIN)
    for least, rating in RATINGS:
        if not bottom < least < top - 3:  # its name stands above the line
            continue
        figure.add_layout(Span(location=least, dimension="width", line_color=colours["dim"], line_dash="dotted"))
        figure.add_layout(
            Label(
                x=4,
                x_units="screen",
                y=least,
                text=f"{rating} from {least:g}",
                text_color=colours["dim"],
                text_font_size="11px",
                text_baseline="bottom",
            )
        )
    line = figure.line("session", "overall_score", source=source, color=colours["middle"], line_width=2)
    if len(rows) < 60:
        figure.scatter("session", "overall_score", source=source, color=colours["middle"], size=5)
    figure.y_range.start, figure.y_range.end = bottom, top
    figure.yaxis.axis_label = "Score"
    tooltips = [("Session", "@session{%F}"), ("Score", "@overall_score{0.00}"), ("Rating", "@rating")]
    figure.add_tools(
        HoverTool(renderers=[line], mode="vline", formatters={"@session": "datetime"}, tooltips=tooltips)
    )  # fmt: skip
    return _document(figure)


def _legend(theme: Theme, figure: Any, wide: bool) -> None:
    """Above the figure, in a line; in two where the screen is narrow."""
    (legend,) = figure.legend
    legend.location, legend.orientation, legend.ncols = "top_left", "horizontal", 8 if wide else 3
    legend.background_fill_alpha, legend.border_line_alpha = 0.0, 0.0
    legend.label_text_color, legend.label_text_font_size, legend.glyph_width = _COLOURS[theme]["dim"], "12px", 14
    legend.margin, legend.padding, legend.spacing = 0, 2, 8
    figure.add_layout(legend, "above")


def _figure(theme: Theme, shown: Any, height: int, wide: bool) -> Any:
    from bokeh.plotting import figure

    colours = _COLOURS[theme]
    made = figure(
        height=height, sizing_mode="stretch_width", x_axis_type="datetime", tools="", toolbar_location=None,
        background_fill_color=None, border_fill_color=None, outline_line_color=None, min_border_left=56,
        min_border_right=8, x_range=shown,
    )  # fmt: skip
    for axis in made.axis:
        axis.axis_line_color = axis.major_tick_line_color = colours["grid"]
        axis.minor_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = colours["dim"]
        axis.axis_label_text_font_style = "normal"
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "12px"
    for grid in made.grid:
        grid.grid_line_color = colours["grid"]
    made.xgrid.visible = False
    made.xaxis.ticker.desired_num_ticks = 10 if wide else 4
    return made


def _source(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Any:
    from bokeh.models import ColumnDataSource

    found: dict[str, list[Any]] = {
        name: [float("nan") if row[name] is None else row[name] for row in rows] for name in columns
    }
    return ColumnDataSource(found | {"session": [_moment(row["session"]) for row in rows]})


def _moment(day: date) -> float:
    return (datetime(day.year, day.month, day.day) - datetime(1970, 1, 1)).total_seconds() * 1000  # noqa: DTZ001


def _document(model: Any) -> dict[str, Any]:
    from bokeh.embed import json_item

    return json_item(model)
