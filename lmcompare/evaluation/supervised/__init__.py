"""What is learned from labelled examples: fine-tuning, and probes of a frozen model."""
