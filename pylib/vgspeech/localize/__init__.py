"""Where in the picture a spoken word looks: matchmaps minus the response to unrelated images, and box scores."""
