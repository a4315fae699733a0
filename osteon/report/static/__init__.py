"""Template, style and scripts of the HTML page. All written for osteon; no third-party code."""
