"""A pool, watched from both sides: what it says it does, and what the database sees at the same moments."""
