"""Steer a fine-tuned language model with a little of the right data."""
