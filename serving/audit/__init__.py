"""What was decided and from what, in a chain that shows any change."""
