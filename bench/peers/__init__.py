"""The other servers that `make bench` measures beside ours. Empty, so that a server's memory is its own."""
