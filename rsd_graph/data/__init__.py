"""Problems and recorded solutions: one schema each, read and written here."""
