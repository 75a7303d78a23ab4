"""What analyses have in common: trained networks, and the settings that choose them."""
