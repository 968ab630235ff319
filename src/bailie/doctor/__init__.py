"""Finds faults and explains them to people: facts gathered through the API, and checks that judge them."""
