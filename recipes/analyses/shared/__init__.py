"""What the analyses share: trained networks, and the settings that select them."""
