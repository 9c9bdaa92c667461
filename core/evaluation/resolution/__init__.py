"""What pixels are worth: the same study at several image sizes."""
