"""Views: each file turns one value into one form."""
