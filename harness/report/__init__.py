"""Views: one value in, one form out. One file each."""
