"""What shows the objectives rather than measures them: plain values for lectures and pictures."""
