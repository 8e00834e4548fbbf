"""Running a data space of one's own, and joining one: the authority, and its members."""
