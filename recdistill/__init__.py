"""Distil a large recommender into a compact ranker on another domain, and report honestly what it gained."""
