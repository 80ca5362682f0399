"""What a user may choose: recipes, backbones, views, engines."""
