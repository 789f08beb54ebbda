"""A page of the server as a browser reads it: its form and its words."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """One page: `sent` is the content of its form, `words` its text, `tags` every element with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._text: list[str] = []
        self._select = ""
        self.feed(html)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self._text).split())

    def having(self, **attributes: str) -> list[dict[str, str]]:
        """Return the elements with these attributes; `_` stands for `-`."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [found for _, found in self.tags if wanted.items() <= found.items()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        name, value = attributes.get("name", ""), attributes.get("value", "")
        if tag == "select":
            self._select = name
        elif tag == "option" and (self._select not in self.sent or "selected" in attributes):
            self.sent[self._select] = value  # the first, if none is selected
        elif tag == "input" and (attributes.get("type") != "radio" or "checked" in attributes):
            self.sent[name] = value

    def handle_data(self, data: str) -> None:
        self._text.append(data)
