"""What corruptions share: noise, spans, and the packing of what they make."""
