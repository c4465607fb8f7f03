"""The contract: resources, conditions, wire documents, and what is generated from them."""
