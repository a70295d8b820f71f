"""Tables of mixed columns: numbers, categories and missing cells, column by column."""
