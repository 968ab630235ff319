"""Boards as the JSON that Grafana reads, by Grafana's own SDK."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh, VariableSort

if TYPE_CHECKING:
    from dashboards.panels import Board, Panel, Selector

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT, NUMBERS_HEIGHT = 8, 4


def as_json(board: Board) -> str:
    """Returns the dashboard's file."""
    made = (
        dashboard.Dashboard(f"Bailie / {board.title}")
        .uid(f"bailie-{board.name}")
        .description(board.text)
        .tags(["bailie"])
        .time("now-1h", "now")
        .refresh("30s")
        .with_variable(dashboard.DatasourceVariable("datasource").label("data source").type("prometheus"))
    )
    for selector in board.selectors:
        made = made.with_variable(_variable(selector))
    numbers = count(1)
    for title, panels in board.rows:
        made = made.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            drawn = _number(panel) if panel.is_number else _graph(panel)
            made = made.with_panel(drawn.id(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _variable(selector: Selector) -> dashboard.QueryVariable:
    made = (
        dashboard.QueryVariable(selector.label)
        .label(selector.label)
        .query(f"label_values({selector.series}, {selector.label})")
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
    return made.multi(multi=True).include_all(include_all=True).all_value(".+") if selector.several else made


def _number(panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .title(panel.title)
        .description(panel.text)
        .unit(panel.unit)
        .datasource(SOURCE)
        .graph_mode(BigValueGraphMode.AREA)
        .span(panel.width)
        .height(NUMBERS_HEIGHT)
        .targets(_targets(panel))
    )


def _graph(panel: Panel) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    return (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.text)
        .unit(panel.unit)
        .datasource(SOURCE)
        .min(0)
        .legend(legend)
        .tooltip(tooltip)
        .span(panel.width)
        .height(HEIGHT)
        .targets(_targets(panel))
    )


def _targets(panel: Panel) -> list[Any]:
    return [
        prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend)
        for letter, query in zip("ABCDEFGH", panel.queries, strict=False)
    ]
