"""The pictures of a report, as SVG that stands in the page itself."""
