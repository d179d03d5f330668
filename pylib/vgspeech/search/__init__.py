"""Search an embedded set by a recording or a photo: the index, rough scores of all items, and the best ones exactly."""
