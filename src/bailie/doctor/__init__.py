"""What is wrong, for people: facts gathered through the API, and checks that judge them."""
