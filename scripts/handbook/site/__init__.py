"""What the site calls: the fence that shows a snippet, the checks of the pages, and the macros."""
