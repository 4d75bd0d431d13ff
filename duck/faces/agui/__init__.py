"""AG-UI, the Agent-User Interaction Protocol: an app as the agent behind a user interface."""
