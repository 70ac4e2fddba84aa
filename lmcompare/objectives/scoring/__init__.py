"""The scores that several objectives share: pure functions of a network and a query."""
