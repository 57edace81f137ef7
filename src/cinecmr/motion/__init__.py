"""How the heart moves: fitted to a study, and what other hearts teach about it."""
