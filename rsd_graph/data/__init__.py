"""Problems and recorded solutions: one schema each."""
