"""What a subscription, a notification and a project are, and what may happen to them. Pure."""
