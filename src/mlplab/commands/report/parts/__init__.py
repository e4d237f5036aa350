"""The parts of a page: from the files of runs to what is shown of them."""
