"""How models write: one token after another, in any order, or by unmasking."""
