"""One door for every image that comes in and every object that goes out."""
