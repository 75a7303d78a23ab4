"""What the compiler makes of mixers: how fast it is, and how many graphs it needs."""
