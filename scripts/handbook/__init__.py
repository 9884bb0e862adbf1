"""The engine of the handbook: it knows the snippets, checks them, boots them and shows what was proven."""
