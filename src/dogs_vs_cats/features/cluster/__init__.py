"""Features on a cluster: the pipeline's work, shared out to processes on one or many machines."""
