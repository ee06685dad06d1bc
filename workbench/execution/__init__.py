"""Layer 5: what a fill costs, what a bar does to orders, and who fills them."""
