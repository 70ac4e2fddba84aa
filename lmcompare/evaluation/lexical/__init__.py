"""Tell what a model knows of words: by how often it has read them, and in which company."""
