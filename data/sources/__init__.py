"""Public sources of history: one adapter a file, all of them behind one engine that pulls, resumes and never half-writes."""
