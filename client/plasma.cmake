# The store client.
