"""make predict and make try: photos of your own."""
