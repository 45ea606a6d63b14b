"""A gateway to look at, with a past, a present and nothing to set up; all of it is gone at the end."""
