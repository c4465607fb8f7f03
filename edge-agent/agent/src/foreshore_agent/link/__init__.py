"""Where the assignment comes from and facts go: a hub (`hub` over `door`), or a folder."""
