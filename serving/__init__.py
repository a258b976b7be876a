"""The sidecar: feeds to forecast to plan, answered over HTTP."""
