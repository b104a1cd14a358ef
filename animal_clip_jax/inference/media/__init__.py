"""Videos of what a model says: copies with it drawn in, and a file for each bout."""
