"""Where cases come from: public layouts, a user's own folder, and the synthetic heart. Never imports torch."""
