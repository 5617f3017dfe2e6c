"""Adapters: what the service layer needs of the world, made of real things. Each translates errors at its edge."""
