"""How reports look: one self-contained HTML file each, the house style, no network."""
