"""A session as a document: one HTML file for a supervisor or a referee, or its tables alone."""
