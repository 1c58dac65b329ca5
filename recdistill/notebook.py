"""What a notebook shows of an object: a few facts and a small table, every value escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Notebooks bring their own styles; tables look as those of data frames do there.
PAGE = """\
<div>
<p><strong>{{ title }}</strong>{% for line in lines %}<br>{{ line }}{% endfor %}</p>
{% if facts %}
<table><tbody>
{% for name, value in facts.items() %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</tbody></table>
{% endif %}
{% if table %}
<table>
<thead><tr>{% for name in table[0] %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for line in table[1:most + 1] %}<tr>{% for cell in line %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table>
{% if table | length > most + 1 %}<p>and {{ table | length - most - 1 }} more</p>{% endif %}
{% endif %}
</div>
"""
MOST = 40  # lines of a table


def shown(
    title: str,
    *,
    lines: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    table: Sequence[Sequence[str]] = (),
) -> str:
    """A piece of HTML for a notebook.

    Args:
        title: what it is.
        lines: sentences below it.
        facts: by name.
        table: the header, then a line each; the first 40 are shown.

    >>> print(shown("<Table>", facts={"rows": "1,000"}))
    <div>
    <p><strong>&lt;Table&gt;</strong></p>
    <table><tbody>
    <tr><th>rows</th><td>1,000</td></tr>
    </tbody></table>
    </div>
    """
    from jinja2 import Environment, StrictUndefined

    templates = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = templates.from_string(PAGE)
    return page.render(title=title, lines=lines, facts=facts or {}, table=table, most=MOST)
