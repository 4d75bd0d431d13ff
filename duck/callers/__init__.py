"""Who may call which app, and how often."""
