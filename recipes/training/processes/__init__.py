"""The processes of one run, as torchrun or `accelerate launch` starts them."""
