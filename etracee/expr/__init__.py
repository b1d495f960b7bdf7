"""The expression language of filters and rules: text → tree → checked tree → Python and C forms."""
