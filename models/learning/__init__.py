"""Policies that are learned in the twin, what they are compared with, and when one may order for a company."""
