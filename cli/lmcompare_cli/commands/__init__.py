"""The commands of `lmcompare`, one file for each."""
