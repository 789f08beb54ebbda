"""Region: a place of the page whose content React changes in place. The component is in assets/region.js.

Dash 4.4 builds everything anew below a `children` output, so the keyboard focus, open menus and the scroll were lost at
every step. A Region gets the same tree of HTML components as `content`, and keeps them. Dash also walks all mounted
components for each output (about 1 ms each at 130 components); the inside of a Region is not among them.
"""

from dash.development.base_component import Component

from dashboard.text.trees import plain


class Region(Component):
    """A tree of HTML components. Its `children`, such as a graph, stand in the places of `html.Slot`, in order."""

    _namespace = "wattfall"
    _type = "Region"
    _children_props: list[str] = []  # noqa: RUF012 - as Dash's base class has them
    _base_nodes = ["children"]  # noqa: RUF012

    def __init__(self, *children: Component, id: str, content: object = None) -> None:  # noqa: A002 - Dash's name
        self._prop_names = self.available_properties = ["children", "id", "content"]
        self._valid_wildcard_attributes = self.available_wildcard_properties = []
        super().__init__(children=list(children), id=id, content=plain(content))  # type: ignore[no-untyped-call]
