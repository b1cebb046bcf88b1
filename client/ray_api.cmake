# Appends to RAY_SOURCES.
