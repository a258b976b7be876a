"""What survives the process: a snapshot of its state, and a journal of the rows since."""
