"""The Channels tutorial's pattern as a project of its own."""
