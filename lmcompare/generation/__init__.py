"""What models write, in which order they come to write it, and what the texts are like."""
