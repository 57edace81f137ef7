"""Learn with labels: what the network is asked, and how its answer becomes Findings."""
