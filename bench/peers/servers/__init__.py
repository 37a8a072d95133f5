"""What runs inside the measured processes. Nothing here imports the bench or the tests."""
