"""The page: `report.html`, one file that stands on its own. `document` puts it together."""
