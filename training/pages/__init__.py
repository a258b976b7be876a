"""The pages of the commands: what each report says, in which order."""
