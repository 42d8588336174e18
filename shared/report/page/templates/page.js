// Nothing of its own: what all pages have is enough.
